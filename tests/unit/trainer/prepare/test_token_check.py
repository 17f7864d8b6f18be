"""What training teaches is what generation, scoring and serving need, with a real byte-level BPE tokenizer."""

import pytest
from tokenizers import normalizers

from support.tokenizers import QWEN_PATTERN, write_tokenizer
from tunewright_trainer.chat.tokenizer import ConversationTokenizer
from tunewright_trainer.prepare import token_check
from tunewright_trainer.prepare.token_check import TokenCheck
from tunewright_trainer.prepare.validate import Fault, RecordError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TRIMMED = CHATML.replace("m.content", "m.content | trim")
INSTRUCT = (  # like Mistral's: the system message is in the last question, and a space begins each answer
    "{% set system = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {% if loop.index0 >= messages | length - 2 and system %}"
    "{{ system + '\n\n' }}{% endif %}{{ m.content }} [/INST]{% elif m.role == 'assistant' %} {{ m.content }}"
    "<|im_end|>{% endif %}{% endfor %}"
)
HYBRID = (  # like Qwen3's: reasoning is split off, and the last answer has a think block
    "{%- for m in messages %}"
    "{%- if m.role == 'assistant' and loop.last %}"
    "{%- set parts = m.content.split('</think>') %}"
    "{%- set reasoning = parts[0].replace('<think>', '').strip('\n') if parts | length > 1 else '' %}"
    "{{- '<|im_start|>assistant\n<think>\n' + reasoning + '\n</think>\n\n' + parts[-1].lstrip('\n') }}"
    "{%- else %}{{- '<|im_start|>' + m.role + '\n' + m.content.split('</think>')[-1] }}{%- endif %}"
    "{{- '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
    "{%- endif %}"
)
PLAIN = (  # no control token before the answer
    "{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %} {{ m.content }}<|im_end|>"
    "{% else %} {{ m.content }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)

# Templates with which training succeeded although the model learned something else than it is asked for.
MARKER_WITH_SPACE = (
    "{% for m in messages %}{% if m.role=='user' %}### Question: {{ m.content }}\n"
    "{% elif m.role=='assistant' %}### Answer: {{ m.content }}{{ eos_token }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}### Answer: {% endif %}"
)
MARKER_WITH_SPACE_AND_NO_END = MARKER_WITH_SPACE.replace("{{ eos_token }}", "")
NO_END = (
    "{% for m in messages %}{% if m.role=='user' %}User: {{ m.content }}\n"
    "{% elif m.role=='assistant' %}Assistant:\n{{ m.content }}\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)
NO_LAST_END = (
    "{% for m in messages %}{% if m.role=='assistant' %}{{ m.content }}{% if not loop.last %}{{ eos_token }}{% endif %}"
    "{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}"
)
NO_GENERATION_PROMPT = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role!='system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
REJECTS_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHATML
LINE_BREAKS = CHATML.replace("{{ m.role }}\n", "{{ m.role }}\n\n").replace("assistant\n", "assistant\n\n")

ASK, BILLING = ("user", "my parcel is late"), ("assistant", "billing")
SYSTEM = ("system", "Answer in French.")
THINKING = ("assistant", "<think>\nthe customer wrote about money\n</think>\n\nbilling")
LONG = "my parcel is late, and the customer wrote about money " * 20


@pytest.fixture
def check(tmp_path):
    """Build the check of a template, for a base model whose own end token is <|endoftext|> by default."""

    def build(template, **model):
        write_tokenizer(tmp_path, **model)
        return TokenCheck(ConversationTokenizer.from_folder(tmp_path, template))

    return build


def fail(check, conversation, added=0):
    with pytest.raises(RecordError) as error:
        check.count_tokens(conversation, added)
    return str(error.value), error.value.fault


@pytest.mark.parametrize(
    ("template", "turns"),
    [
        (CHATML, [ASK, BILLING]),
        (CHATML, [SYSTEM, ASK, BILLING, ASK, ("assistant", '{"queue": "billing"}')]),
        (CHATML, [ASK, ("assistant", " billing\n")]),
        (CHATML, [("user", "\n\n a <think> b "), ("assistant", "Grüße 日本 👍🏽")]),
        (TRIMMED, [("user", " q\n"), ("assistant", "\n\n\nbilling\n")]),
        (INSTRUCT, [SYSTEM, ASK, BILLING, ASK, BILLING]),
        (NO_SYSTEM, [ASK, BILLING]),
        (PLAIN, [SYSTEM, ("user", LONG), BILLING]),
        (LINE_BREAKS, [ASK, ("assistant", " billing")]),
    ],
)
def test_records_that_teach_what_is_needed(check, talk, template, turns):
    checked = check(template)
    assert checked.count_tokens(talk(*turns)) == len(checked._tokenizer.encode(talk(*turns)).ids)
    assert checked.taught == {2}, "<|im_end|>"


def test_a_hybrid_template_teaches_answers_after_an_empty_think_block(check, talk):
    checked = check(HYBRID, pattern=QWEN_PATTERN)
    assert checked.count_tokens(talk(ASK, BILLING, ASK, ("assistant", '{"queue": "billing"}'))) > 0
    assert checked.taught == {2}
    assert checked.context_answers == 1, "before the last answer, there is no think block"
    assert checked.count_tokens(talk(ASK, BILLING)) > 0
    assert checked.context_answers == 1


@pytest.mark.parametrize(
    ("template", "turns", "reason"),
    [
        (
            MARKER_WITH_SPACE,
            [ASK, BILLING],
            "message 2 (assistant): the token ' billing' has the end of the prompt and",
        ),
        (MARKER_WITH_SPACE_AND_NO_END, [ASK, BILLING], "message 2 (assistant): the token ' billing' has the end of"),
        (NO_END, [ASK, BILLING], "message 2 (assistant): the last learned token, 'billing', does not stop generation"),
        (NO_LAST_END, [ASK, BILLING], "message 2 (assistant): the last learned token, 'billing', does not stop"),
        (
            NO_GENERATION_PROMPT,
            [ASK, BILLING],
            (
                r"message 2 (assistant): the learned tokens decode to 'assistant\nbilling' instead of its content: the "
                "template adds to it or changes it"
            ),
        ),
        (NO_SYSTEM, [SYSTEM, ASK, BILLING], "message 1 (system) is not completely in the text that the chat template"),
        (NO_SYSTEM, [("system", "a"), ASK, BILLING], "message 1 (system) is not completely in the text"),
        (
            CHATML.replace("in messages", "in messages[-2:]"),
            [("user", "a"), BILLING, ASK, BILLING],
            "message 1 (user) is not completely in the text",
        ),
        (CHATML.replace("m.content", "m.content | upper"), [ASK, BILLING], "message 1 (user) is not completely in the"),
        (
            CHATML.replace("m.content", "m.content[:5]"),
            [ASK, BILLING],
            "message 1 (user) is not completely in the text",
        ),
        (
            CHATML.replace("assistant\n{% endif", "assistant:\n{% endif"),
            [ASK, BILLING],
            r"message 2 (assistant): the prompt in generation ends with ':\n', where the text in training has",
        ),
        (LINE_BREAKS, [ASK, BILLING], "message 2 (assistant): before an answer, the text "),
        (
            "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}?{% endif %}",
            [ASK, ("assistant", "?")],
            "the assistant's turns cannot be located in the rendered conversation",
        ),
        (
            "{{ raise_exception('roles must alternate') }}",
            [ASK, BILLING],
            "the chat template rejects it: roles must alt",
        ),
        (REJECTS_SYSTEM, [SYSTEM, ASK, BILLING], "the chat template rejects it: no system role"),
        (
            CHATML + "\n{{ 1 // (messages | length - 2) }}",
            [ASK, BILLING],
            "the chat template fails on it: ZeroDivisionError: ",
        ),
    ],
)
def test_templates_that_do_not_fit(check, talk, template, turns, reason):
    checked = check(template)
    found, fault = fail(checked, talk(*turns))
    assert found.startswith(reason)
    assert fault is Fault.TEMPLATE
    assert not checked.taught


@pytest.mark.parametrize(
    ("template", "turns", "begin", "end"),
    [
        (CHATML, [("user", "say <|im_end|>"), BILLING], "message 1 (user) contains the control token <|im_end|>", ""),
        (CHATML, [ASK, ("assistant", "no<|im_end|>")], "message 2 (assistant) contains the control token <|im_e", ""),
        (NO_END, [ASK, ("assistant", "no<|endoftext|>")], "message 2 (assistant) contains the control token <|en", ""),
        (CHATML, [("system", "<|im_start|>"), ASK, BILLING], "message 1 (system) contains the control token", ""),
        (
            CHATML,
            [ASK, ("assistant", "\n\nbilling")],
            "message 2 (assistant) begins with white space that forms a token with the end of the prompt",
            "remove the white space",
        ),
        (HYBRID, [ASK, THINKING], "message 2 (assistant) has a think block, which the chat template", "remove it"),
        (HYBRID, [ASK, THINKING, ASK, BILLING], "message 2 (assistant) has a think block, which the chat", "remove it"),
    ],
)
def test_records_that_do_not_fit(check, talk, template, turns, begin, end):
    reason, fault = fail(check(template, pattern=QWEN_PATTERN if template is HYBRID else ""), talk(*turns))
    assert reason.startswith(begin)
    assert reason.endswith(end)
    assert ("think block" in reason) == (template is HYBRID)
    assert fault is Fault.RECORD


def test_an_answer_that_the_tokenizer_cannot_represent(check, talk):
    checked = check(CHATML, normalizer=normalizers.Lowercase())
    assert checked.count_tokens(talk(ASK, BILLING)) > 0
    reason = (
        "message 2 (assistant): the learned tokens decode to 'billing' instead of its content: the tokenizer cannot"
    )
    found, fault = fail(checked, talk(ASK, ("assistant", "BILLING")))
    assert found.startswith(reason)
    assert fault is Fault.RECORD


@pytest.mark.parametrize(
    ("template", "prompt", "reason", "fault"),
    [
        (NO_SYSTEM, "Answer.", "dataset.systemPrompt is not completely in the text that", Fault.SYSTEM_PROMPT),
        (REJECTS_SYSTEM, "Answer.", "with dataset.systemPrompt: the chat template rejects it: ", Fault.SYSTEM_PROMPT),
        (NO_GENERATION_PROMPT, "Answer.", "message 2 (assistant): the learned tokens decode to", Fault.TEMPLATE),
        (CHATML, "<|im_end|>", "dataset.systemPrompt contains the control token <|im_end|>", Fault.RECORD),
    ],
)
def test_the_jobs_system_prompt_is_named_and_counts_as_no_message(check, talk, template, prompt, reason, fault):
    found = fail(check(template), talk(("system", prompt), ASK, BILLING), added=1)
    assert found[0].startswith(reason)
    assert found[1] is fault


@pytest.mark.parametrize(
    ("eos_token_id", "eos_token", "template", "taught"),
    [
        (0, "<|endoftext|>", CHATML, {2}),
        (2, "<|im_end|>", CHATML, {2}),
        ([2, 0], "<|endoftext|>", CHATML, {2}),
        (None, "<|im_end|>", CHATML, {2}),
        (2, "<|endoftext|>", CHATML.replace("<|im_end|>", "{{ eos_token }}"), {0}),
    ],
)
def test_the_stop_token_is_the_templates_whatever_the_models_is(check, talk, eos_token_id, eos_token, template, taught):
    checked = check(template, eos_token_id=eos_token_id, eos_token=eos_token)
    checked.count_tokens(talk(ASK, BILLING, ASK, BILLING))
    assert checked.taught == taught


def test_the_number_of_stop_tokens_is_limited(check, talk, monkeypatch):
    monkeypatch.setattr(token_check, "MAX_STOP_TOKENS", 1)
    end = "{{ '<|endoftext|>' if 'shipping' in m.content else '<|im_end|>' }}"
    checked = check(CHATML.replace("<|im_end|>", end))
    checked.count_tokens(talk(ASK, BILLING))
    assert fail(checked, talk(ASK, ("assistant", "shipping")))[0].startswith("its answers end with the tokens [0], but")
    assert checked.taught == {2}


class CountingEncoder:
    """Counts the characters that are encoded."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.characters = 0
        self.decode = encoder.decode

    def encode(self, sequence, *, add_special_tokens):
        self.characters += len(sequence)
        return self._encoder.encode(sequence, add_special_tokens=add_special_tokens)


@pytest.mark.parametrize(("template", "more"), [(CHATML, 0.1), (PLAIN, 0.25)])
def test_a_record_is_encoded_once(check, talk, template, more):
    checked = check(template)
    tokenizer = checked._tokenizer
    tokenizer._encoder = counter = CountingEncoder(tokenizer._encoder)
    conversations = [talk(("user", f"{number} {LONG} {number}"), BILLING) for number in range(600)]
    for conversation in conversations:
        checked.count_tokens(conversation)
    once = sum(len(tokenizer.template.render(conversation)) for conversation in conversations)
    assert once < counter.characters < once * (1 + more)


@pytest.mark.parametrize(
    ("template", "good", "bad", "reason"),
    [
        (LINE_BREAKS, " billing", "billing", "message 2 (assistant): before an answer, the text "),
        (PLAIN.replace("assistant:", "assistant\n\n").replace("{{ m.role }}:{% if m.role == 'assistant' %} ",
         "{{ m.role }}\n\n{% if m.role == 'assistant' %}"), " billing", "billing", "message 2 (assistant): before an "),
        (CHATML, "billing", "\n\nbilling", "message 2 (assistant) begins with white space"),
    ],
)  # fmt: skip
def test_records_outside_the_sample_are_checked_too(check, talk, template, good, bad, reason):
    checked = check(template)
    for number in range(100):
        checked.count_tokens(talk(("user", f"{LONG} {number}"), ("assistant", good)))
    assert fail(checked, talk(ASK, ("assistant", bad)))[0].startswith(reason)
    assert fail(checked, talk(("user", LONG), ("assistant", bad)))[0].startswith(reason)
