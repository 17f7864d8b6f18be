// Use the official JavaScript client as its documentation shows, and print what it returned as JSON.
// OPENAI_API_KEY=<key> node client.mjs <address of the server> <alias>
import OpenAI from "openai";

const [address, alias] = process.argv.slice(2);
const messages = [{ role: "user", content: "What is the colour of thing 1?" }];
const options = { model: alias, temperature: 0, max_tokens: 4 };

function connect(path) {
  return new OpenAI({ baseURL: address + path, maxRetries: 0, timeout: 60_000 });
}

async function readStream(stream, text) {
  const found = { models: [], text: "", finishReason: null, completionTokens: null };
  for await (const chunk of stream) {
    if (!found.models.includes(chunk.model)) found.models.push(chunk.model);
    for (const choice of chunk.choices) {
      found.text += text(choice) ?? "";
      found.finishReason = choice.finish_reason ?? found.finishReason;
    }
    found.completionTokens = chunk.usage?.completion_tokens ?? found.completionTokens;
  }
  return found;
}

async function readError(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, message: error.message };
  }
  return { name: null };
}

const client = connect("/v1");
const chat = await client.chat.completions.create({ ...options, messages });
const completion = await client.completions.create({ ...options, prompt: "The colour is" });
const usage = { stream: true, stream_options: { include_usage: true } };
const image = { type: "image_url", image_url: { url: "https://example.com/a.png" } };
const models = [];
for await (const model of client.models.list()) models.push(model.id);

console.log(
  JSON.stringify({
    chat: { model: chat.model, text: chat.choices[0].message.content, role: chat.choices[0].message.role },
    completion: { model: completion.model, text: completion.choices[0].text },
    chatStream: await readStream(
      await client.chat.completions.create({ ...options, messages, stream: true }),
      (choice) => choice.delta.content,
    ),
    chatStreamWithUsage: await readStream(
      await client.chat.completions.create({ ...options, messages, ...usage }),
      (choice) => choice.delta.content,
    ),
    completionStream: await readStream(
      await client.completions.create({ ...options, prompt: "The colour is", stream: true }),
      (choice) => choice.text,
    ),
    models,
    model: (await client.models.retrieve(alias)).id,
    unknownModel: await readError(() => client.chat.completions.create({ ...options, model: "unknown", messages })),
    unknownModelRetrieved: await readError(() => client.models.retrieve("unknown")),
    wrongContent: await readError(() =>
      client.chat.completions.create({ ...options, messages: [{ role: "user", content: [image] }] }),
    ),
    wrongBaseURL: await readError(() => connect("").chat.completions.create({ ...options, messages })),
    wrongPath: await readError(() => client.embeddings.create({ model: alias, input: "a" })),
  }),
);
