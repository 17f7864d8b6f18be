"""For any template, the loss covers the assistant's messages, from after the opening to the closing token."""

import pytest

from tunewright_trainer.chat.conversation import ChatMessage
from tunewright_trainer.chat.template import ChatTemplate, ChatTemplateError, ChatTemplateFailedError, mask_tokens
from tunewright_trainer.errors import Reason, TrainerError

MARKED = (
    "{%- for message in messages %}"
    "{{- '<' + message.role + '>' }}"
    "{%- if message.role == 'assistant' %}{% generation %}{{ message.content + eos_token }}{% endgeneration %}"
    "{%- else %}{{- message.content }}{%- endif %}{{- '\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<assistant>' }}{%- endif %}"
)
FORGETFUL = (  # earlier answers lose their reasoning, as with Qwen3 and DeepSeek-R1
    "{% for message in messages %}<{{ message.role }}>"
    "{% if message.role == 'assistant' and not loop.last %}{{ message.content.split('</think>')[-1] }}"
    "{% else %}{{ message.content }}{% endif %};{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
EAGER = (  # the opening has more text than the turn
    "{% for message in messages %}<{{ message.role }}>{{ message.content }};{% endfor %}"
    "{% if add_generation_prompt %}<assistant><think>{% endif %}"
)

QWEN3 = (  # like Qwen3's: the last answer has a think block, and so has the opening with thinking disabled
    "{%- for message in messages %}"
    "{%- if message.role == 'assistant' and loop.last %}"
    "{%- set parts = message.content.split('</think>') %}"
    "{%- set reasoning = parts[0].replace('<think>', '').strip('\n') if parts | length > 1 else '' %}"
    "{{- '<|im_start|>assistant\n<think>\n' + reasoning + '\n</think>\n\n' + parts[-1].lstrip('\n') }}"
    "{%- else %}{{- '<|im_start|>' + message.role + '\n' + message.content.split('</think>')[-1] }}{%- endif %}"
    "{{- '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
    "{%- endif %}"
)
QWEN3_THINKING = QWEN3.partition("{%- if enable_thinking")[0] + "{{- '<think>\n' }}{%- endif %}"


def learnt(template, conversation):
    rendered = template.locate_answers(conversation)
    return [rendered.text[start:end] for start, end in rendered.spans]


def test_every_assistant_turn_is_learnt_with_its_closing_token(tokenizer, talk):
    conversation = talk(("user", "hi"), ("assistant", "yo"), ("user", "bye"), ("assistant", "ciao"))
    assert learnt(tokenizer.template, conversation) == ["yo<|im_end|>", "ciao<|im_end|>"]


def test_a_turn_with_weight_0_is_context_only(tokenizer):
    wrong = ChatMessage("assistant", "wrong", learned=False)
    ask, right = ChatMessage("user", "q"), ChatMessage("assistant", "right")
    assert learnt(tokenizer.template, (ask, wrong, ask, right)) == ["right<|im_end|>"]


def test_generation_marks_are_transparent(talk):
    template = ChatTemplate(MARKED, {"eos_token": "</s>"})
    assert learnt(template, talk(("user", "a"), ("assistant", "b"))) == ["b</s>"]


def test_a_turn_that_is_rewritten_later_is_context_only(talk):
    conversation = talk(("user", "a"), ("assistant", "x</think>b"), ("user", "c"), ("assistant", "y</think>d"))
    assert learnt(ChatTemplate(FORGETFUL, {}), conversation) == ["y</think>d;"]


def test_an_opening_with_more_text_is_cut_where_the_turn_differs(talk):
    assert learnt(ChatTemplate(EAGER, {}), talk(("user", "a"), ("assistant", "b"))) == ["b;"]


def test_a_hybrid_template_is_rendered_without_thinking(talk):
    template = ChatTemplate(QWEN3, {})
    conversation = talk(("user", "a"), ("assistant", '{"b": 1}'), ("user", "c"), ("assistant", '{"d": 2}'))
    assert learnt(template, conversation) == ['{"d": 2}<|im_end|>']
    opening = template.render(conversation[:-1], add_generation_prompt=True)
    assert opening.endswith("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert template.render(conversation).startswith(opening), "the learnt part starts where an answer begins"


@pytest.mark.parametrize("source", [QWEN3_THINKING, EAGER])
def test_a_template_that_always_thinks_is_refused(source):
    with pytest.raises(TrainerError, match=r"adds a think block to each answer.* set training\.chatTemplate") as error:
        ChatTemplate(source, {}).check_answers_directly()
    assert error.value.reason is Reason.INVALID_CHAT_TEMPLATE


@pytest.mark.parametrize("source", [QWEN3, MARKED, FORGETFUL, "{{ raise_exception('a system message is missing') }}"])
def test_templates_that_may_answer_at_once_are_accepted(source):
    ChatTemplate(source, {"eos_token": "</s>"}).check_answers_directly()


def test_a_template_without_the_answer_is_refused(talk):
    template = ChatTemplate(
        "{% for message in messages if message.role == 'user' %}{{ message.content }}{% endfor %}", {}
    )
    with pytest.raises(ChatTemplateError, match="cannot be located"):
        template.locate_answers(talk(("user", "a"), ("assistant", "b")))


def test_an_error_of_the_template_is_reported(talk):
    template = ChatTemplate("{{ raise_exception('roles must alternate') }}", {})
    with pytest.raises(ChatTemplateError, match="roles must alternate"):
        template.render(talk(("user", "a")))


def test_a_template_cannot_reach_python(talk):
    template = ChatTemplate("{{ messages.__class__.__mro__ }}", {})
    with pytest.raises(ChatTemplateError):
        template.render(talk(("user", "a")))


def test_a_template_that_is_no_jinja():
    with pytest.raises(TrainerError, match="is not valid Jinja") as error:
        ChatTemplate("{% for %}", {})
    assert error.value.reason is Reason.INVALID_CHAT_TEMPLATE


def test_tojson_leaves_text_as_it_is(talk):
    template = ChatTemplate("{{ messages[0].content | tojson }}", {})
    assert template.render(talk(("user", "<é>"))) == '"<é>"'


@pytest.mark.parametrize(
    ("offsets", "expected"),
    [
        ([(0, 5), (5, 7), (7, 10)], [False, True, True]),
        ([(0, 4), (4, 6), (6, 10)], [False, False, True]),  # overlaps the beginning: generation starts after it
        ([(5, 5), (5, 9), (10, 11)], [False, True, False]),  # an empty token; the end is exclusive
    ],
)
def test_mask(offsets, expected):
    assert mask_tokens(offsets, [(5, 10)]) == expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ 1 / (messages | length - 1) }}", r"^ZeroDivisionError: division by zero \(line 1 of the template\)$"),
        ("\n\n{{ (messages | length * 10.0) ** 400 }}", r"^OverflowError: .* \(line 3 of the template\)$"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "^RecursionError: "),
        ("{{ messages[9].content }}", r"has no element 9 \(line 1 of the template\)$"),
        ("{% if messages %}{{ 'a' | unknown }}{% endif %}", r"No filter named 'unknown'"),
        ("{{ messages[0].content + 1 }}", "^TypeError: "),
        ("{{ {}['a'].b.c }}", "is undefined|has no attribute"),
        ("{{ range(999999999) | list }}", "^OverflowError: Range too big"),
        ("{{ messages[0].content.encode('ascii') }}", "^UnicodeEncodeError: "),
        ("{{ 'a' * (messages | length * 10 ** 18) }}", "^(MemoryError|OverflowError)"),
    ],
)
def test_an_error_inside_the_template_is_the_templates(talk, source, words):
    with pytest.raises(ChatTemplateFailedError, match=words):
        ChatTemplate(source, {}).render(talk(("user", "é")))


def test_a_rejection_is_not_an_error_inside_the_template(talk):
    with pytest.raises(ChatTemplateError, match=r"^no é$") as error:
        ChatTemplate("{{ raise_exception('no ' + messages[0].content) }}", {}).render(talk(("user", "é")))
    assert not isinstance(error.value, ChatTemplateFailedError)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ messages | unknown }}", r"is not valid Jinja: No filter named 'unknown'\. \(line 1\); correct training"),
        ("a\n{% for %}", r"is not valid Jinja: .* \(line 2\); correct"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "is not valid Jinja: RecursionError"),
        ("{% for a in b %}" * 30 + "{% endfor %}" * 30, "is not valid Jinja: SyntaxError: too many statically nested"),
    ],
)
def test_a_template_that_cannot_be_compiled(source, words):
    with pytest.raises(TrainerError, match=words) as error:
        ChatTemplate(source, {})
    assert error.value.reason is Reason.INVALID_CHAT_TEMPLATE
