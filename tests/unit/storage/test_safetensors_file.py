"""A safetensors file is complete, or the error shows what is wrong; every number in it is checked."""

import json
import pickle
import struct

import numpy as np
import pytest
from safetensors.numpy import save_file

from tunewright_storage import safetensors_file
from tunewright_storage.safetensors_file import SafetensorsError, Tensor, find_non_finite, read_tensors

LONG = "x" * 1_100_000


def write(path, header, data=b"", *, length=None):
    """Write a file with this header, given as JSON text or as an object."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def entry(dtype="F32", shape=(2,), begin=0, end=8):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def problem_of(path) -> str:
    with pytest.raises(SafetensorsError) as raised:
        read_tensors(path)
    return str(raised.value)


def search(path):
    return find_non_finite(path, read_tensors(path))


def test_files_of_the_library_are_read(tmp_path):
    path = tmp_path / "w"
    save_file({"b": np.ones((2, 3), np.float32), "a": np.zeros((0, 4), np.float16)}, path, {"format": "pt"})
    size = path.stat().st_size
    assert read_tensors(path) == {
        "a": Tensor("a", "F16", (0, 4), read_tensors(path)["a"].start, read_tensors(path)["a"].start),
        "b": Tensor("b", "F32", (2, 3), size - 24, size),
    }


def test_types_of_quantized_models_are_read(tmp_path):
    header = {
        "packed": entry("U8", (3,), 0, 3),
        "eight": entry("F8_E4M3", (2,), 3, 5),
        "new": entry("F2_X", (99,), 5, 6),
        "scalar": entry("BOOL", (), 6, 7),
    }
    tensors = read_tensors(write(tmp_path / "w", header, b"\0" * 7))
    assert [tensors[name].dtype for name in header] == ["U8", "F8_E4M3", "F2_X", "BOOL"]


@pytest.mark.parametrize("data", [b"PK\x03\x04zip of a checkpoint", pickle.dumps({"weight": [1.0]}, protocol=2)])
def test_a_pickle_is_recognized(tmp_path, data):
    (tmp_path / "w").write_bytes(data)
    assert "pickle" in problem_of(tmp_path / "w")


@pytest.mark.parametrize("data", [b"", b"\x01\0\0"])
def test_too_short_for_a_length(tmp_path, data):
    (tmp_path / "w").write_bytes(data)
    assert problem_of(tmp_path / "w") == f"it has {len(data)} bytes, too few for a header"


@pytest.mark.parametrize("length", [3, 2**63, 2**64 - 1])
def test_a_header_longer_than_the_file(tmp_path, length):
    path = write(tmp_path / "w", {}, length=length)
    assert problem_of(path) == f"its header should have {length} bytes, but the file has 10"


def test_a_caller_may_set_a_lower_limit(tmp_path):
    path = write(tmp_path / "w", {"a": entry(end=8)}, b"\0" * 8)
    length = struct.unpack("<Q", path.read_bytes()[:8])[0]
    assert read_tensors(path, length)
    with pytest.raises(SafetensorsError, match=f"should have {length} bytes, but at most {length - 1} are read"):
        read_tensors(path, length - 1)


@pytest.mark.parametrize(
    "header",
    [
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"F32","dtype":"F16","shape":[4],"data_offsets":[0,8]}}',
    ],
)
def test_a_repeated_key_is_refused(tmp_path, header):
    assert "a key more than once" in problem_of(write(tmp_path / "w", header, b"\0" * 8))


def test_a_header_over_the_limit_is_not_read(tmp_path, monkeypatch):
    path = write(tmp_path / "w", {"w": entry()}, b"\0" * 8)
    assert read_tensors(path)
    monkeypatch.setattr(safetensors_file, "_MAX_HEADER_BYTES", 50)
    assert "its header should have" in problem_of(path)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"{", "its header is invalid"),
        (b"\xff\xfe", "its header is invalid"),
        (b"[" * 100_000, "its header is invalid"),
        (b"[]", "it is not a JSON object"),
        ({"w": []}, "no usable dtype, shape and data_offsets"),
        ({"w": {"dtype": "F32", "shape": [2]}}, "no usable dtype, shape and data_offsets"),
        ({"w": {"shape": [2], "data_offsets": [0, 8]}}, "no usable dtype, shape and data_offsets"),
        ({"w": {**entry(), "dtype": 32}}, "no usable dtype, shape and data_offsets"),
        ({"w": {**entry(), "data_offsets": [0, 4, 8]}}, "no usable dtype, shape and data_offsets"),
        ({"w": entry(shape=(2.0,))}, "no usable dtype, shape and data_offsets"),
        ({"w": entry(shape=(True, 2))}, "no usable dtype, shape and data_offsets"),
        ({"w": entry(begin=-8, end=0)}, "no usable dtype, shape and data_offsets"),
        ({"w": entry(begin=8, end=0)}, "does not fill bytes 8 to 0"),
        ({"w": entry(shape=(4,))}, "does not fill bytes 0 to 8"),
        ({"w": entry("I64", (2,))}, "does not fill bytes 0 to 8"),
        ({"w": entry(shape=(2**64,) * 10_000)}, "does not fill bytes 0 to 8"),
    ],
)
def test_a_header_that_contradicts_itself(tmp_path, header, words):
    assert words in problem_of(write(tmp_path / "w", header, b"\0" * 8))


@pytest.mark.parametrize(
    ("offsets", "words"),
    [
        (((0, 8), (8, 16)), "its tensors end at byte"),
        (((0, 8), (12, 20)), "gap or overlap"),
        (((0, 8), (4, 12)), "gap or overlap"),
        (((4, 12), (12, 20)), "gap or overlap"),
        (((0, 8), (8, 24)), "does not fill"),
    ],
)
def test_data_with_gaps_overlaps_or_remaining_bytes(tmp_path, offsets, words):
    header = {f"t{number}": entry(begin=begin, end=end) for number, (begin, end) in enumerate(offsets)}
    assert words in problem_of(write(tmp_path / "w", header, b"\0" * 20))


@pytest.mark.parametrize("change", [-1, 1])
def test_truncated_or_padded(tmp_path, change):
    path = write(tmp_path / "w", {"w": entry()}, b"\0" * (8 + change))
    assert "it is truncated or padded" in problem_of(path)


@pytest.mark.parametrize(
    "header",
    [
        {LONG: {**entry(), "shape": [3]}},
        {LONG: entry(begin=4, end=12)},
        {"w": {**entry(), "dtype": LONG, "data_offsets": LONG}},
        {"w": {**entry(), "shape": [LONG]}},
        {"\ud800": {**entry(), "shape": [3]}},
    ],
)
def test_texts_of_a_file_are_cut_in_messages(tmp_path, header):
    message = problem_of(write(tmp_path / "w", header, b"\0" * 8))
    assert len(message) < 1000
    assert message.encode()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_non_finite_weights_are_found(tmp_path, kind, bad):
    save_file({"good": np.ones(3, kind), "broken": np.array([1, bad, 2], kind)}, tmp_path / "w")
    assert search(tmp_path / "w") == "broken"


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_the_largest_numbers_are_finite(tmp_path, kind):
    limits = np.finfo(kind)
    save_file({"w": np.array([limits.max, limits.min, limits.tiny, 0, -0.0], kind)}, tmp_path / "w")
    assert search(tmp_path / "w") is None


def write_bfloat16(path, values):
    """Write the upper halves of float32 numbers, which are bfloat16 numbers."""
    data = (np.array(values, np.float32).view(np.uint32) >> 16).astype(np.uint16).tobytes()
    write(path, {"w": entry("BF16", (len(values),), 0, len(data))}, data)


@pytest.mark.parametrize(("values", "found"), [([1.0, -3e38], None), ([1.0, np.nan], "w"), ([-np.inf], "w")])
def test_bfloat16(tmp_path, values, found):
    write_bfloat16(tmp_path / "w", values)
    assert search(tmp_path / "w") == found


@pytest.mark.parametrize(("bits", "found"), [([0x3F80, 0x7F7F], None), ([0x3F80, 0xFF80], "w")])
def test_the_largest_bfloat16_is_finite_and_the_next_is_infinity(tmp_path, bits, found):
    write(tmp_path / "w", {"w": entry("BF16", (2,), 0, 4)}, np.array(bits, "<u2").tobytes())
    assert search(tmp_path / "w") == found


@pytest.mark.parametrize("position", [0, 4, 5, 9])
def test_every_chunk_is_searched(tmp_path, monkeypatch, position):
    monkeypatch.setattr(safetensors_file, "_CHUNK_ELEMENTS", 5)
    values = np.ones(10, np.float32)
    values[position] = np.nan
    save_file({"w": values}, tmp_path / "w")
    assert search(tmp_path / "w") == "w"


@pytest.mark.parametrize("header", [{}, {"empty": entry(shape=(0, 4), end=0)}])
def test_a_file_without_numbers_is_finite(tmp_path, header):
    assert search(write(tmp_path / "w", header)) is None


def test_only_floats_can_be_searched(tmp_path):
    save_file({"w": np.ones(2, np.int32)}, tmp_path / "w")
    with pytest.raises(SafetensorsError, match="'w' is 'I32', not one of F64, F32, F16, BF16"):
        search(tmp_path / "w")
