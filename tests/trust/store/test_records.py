"""The bytes of a record: whatever is not exactly what was written is damaged."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_exprun.terms.errors import StoreError
from pytest_exprun.terms.model import RunSpec, Variant
from pytest_exprun.terms.outcome import RunResult
from pytest_exprun.trust.store import records
from pytest_exprun.trust.store.records import Attestation, DamagedRecord, Record, decode, encode, encode_attestation
from tests.stored import KEY, ROPE, forged, make_key, make_run, seal


class TestEncoding:
    """What is written."""

    def test_a_record_is_json_that_people_can_read(self, store):
        """Any JSON reader opens it; the checksum is over the bytes of `record`."""
        data = store.save(make_run(), ROPE.slug, KEY).read_bytes()
        document = json.loads(data)
        body = data[data.index(b'"record": ') + len(b'"record": ') : -2]
        assert document["sha256"] == hashlib.sha256(body).hexdigest()
        assert document["record"]["run"]["metrics"]["val_loss"] == 1.5

    def test_a_record_laid_out_otherwise_is_read(self, store):
        """The layout of the JSON is free: earlier versions wrote a line for each value."""
        path = store.path(ROPE.slug, KEY, 42)
        path.parent.mkdir(parents=True)
        body = json.dumps(forged(), indent=1).encode()
        digest = hashlib.sha256(body).hexdigest().encode()
        path.write_bytes(b'{"sha256": "' + digest + b'",\n"record": ' + body + b"}\n")
        assert store.load(ROPE.slug, KEY, 42) == make_run()

    @pytest.mark.parametrize("value", [5e-324, 0.1 + 0.2, 1e308, -0.0, 1 / 3])
    def test_numbers_come_back_to_the_last_bit(self, store, value):
        """A metric keeps every bit, the sign of zero included."""
        store.save(make_run(loss=value), ROPE.slug, KEY)
        assert store.load(ROPE.slug, KEY, 42).metrics["val_loss"].hex() == value.hex()

    def test_what_cannot_be_stored_is_refused(self, store):
        """A note that is no JSON, NaN, and a record of megabytes: one line each, no file."""
        for notes in ({"x": object()}, {"x": float("nan")}, {"x": "y" * (9 << 20)}):
            with pytest.raises(StoreError, match="seed 42 cannot be stored"):
                store.save(make_run(notes=notes), ROPE.slug, KEY)
        assert store.seeds(ROPE.slug, KEY) == ()


class TestDamage:
    """What is not believed."""

    def test_every_flipped_bit_is_noticed(self):
        """Each single bit of a record, flipped, makes it damaged."""
        data = encode(Record(KEY, make_run(curve=(), provenance={}, notes={})))
        believed = []
        for position in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[position // 8] ^= 1 << position % 8
            try:
                decode(bytes(flipped))
            except DamagedRecord:
                continue
            believed.append(position)
        assert believed == []
        assert decode(data).result.metrics["val_loss"] == 1.5

    def test_every_flipped_bit_of_an_attestation_is_noticed(self):
        """Each single bit of an attestation, flipped, makes it damaged."""
        data = encode_attestation(Attestation(KEY, make_key(source="1"), 42, "2026-01-01"))
        for position in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[position // 8] ^= 1 << position % 8
            with pytest.raises(DamagedRecord):
                records.decode_attestation(bytes(flipped))

    def test_every_truncation_and_extension_is_noticed(self):
        """A record cut at any byte, or with bytes after it, is damaged."""
        data = encode(Record(KEY, make_run()))
        for cut in range(len(data)):
            with pytest.raises(DamagedRecord):
                decode(data[:cut])
        for tail in (b"\0", b"\n", b" ", data):
            with pytest.raises(DamagedRecord):
                decode(data + tail)

    @pytest.mark.parametrize(
        "content",
        [
            [],
            None,
            "text",
            {},
            forged(schema=2),
            forged(schema="1"),
            forged(schema=True),
            forged(key=[]),
            forged(key={"flags": 3}),
            forged(opened=None),
            forged(run=[]),
            forged(run={}),
            forged(run=forged()["run"] | {"status": "crashed"}),
            forged(run=forged()["run"] | {"metrics": {"val_loss": True}}),
            forged(run=forged()["run"] | {"metrics": {"val_loss": "1.5"}}),
            forged(run=forged()["run"] | {"metrics": [1.5]}),
            forged(run=forged()["run"] | {"notes": []}),
            forged(run=forged()["run"] | {"curve": [[1]]}),
            forged(run=forged()["run"] | {"curve": [["1", {}]]}),
            forged(run=forged()["run"] | {"curve": [[1, {"val_loss": []}]]}),
            forged(run=forged()["run"] | {"spec": {}}),
            forged(run=forged()["run"] | {"spec": forged()["run"]["spec"] | {"seed": 42.0}}),
            forged(run=forged()["run"] | {"spec": forged()["run"]["spec"] | {"seed": True}}),
            forged(run=forged()["run"] | {"spec": forged()["run"]["spec"] | {"flags": "--rope"}}),
            forged(run=forged()["run"] | {"spec": forged()["run"]["spec"] | {"flags": ["--other"]}}),
            forged(run=forged()["run"] | {"spec": forged()["run"]["spec"] | {"budget": {"amount": "1"}}}),
            forged(run=forged()["run"] | {"surplus": 1}),
        ],
    )
    def test_a_forged_record_of_the_wrong_shape_is_refused(self, store, content):
        """A right checksum does not make a record: every field is checked."""
        path = store.path(ROPE.slug, KEY, 42)
        path.parent.mkdir(parents=True)
        path.write_bytes(seal(content))
        assert store.load(ROPE.slug, KEY, 42) is None
        assert len(store.notices) == 1

    @pytest.mark.parametrize("token", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"9" * 5000])
    def test_numbers_that_are_none_are_refused(self, store, token):
        """NaN, infinities and endless digits are no JSON numbers here."""
        body = json.dumps(forged()).encode().replace(b'"val_loss": 1.5', b'"val_loss": ' + token)
        path = store.path(ROPE.slug, KEY, 42)
        path.parent.mkdir(parents=True)
        digest = hashlib.sha256(body).hexdigest().encode()
        path.write_bytes(b'{"sha256": "' + digest + b'",\n"record": ' + body + b"}\n")
        assert store.load(ROPE.slug, KEY, 42) is None

    @pytest.mark.parametrize("field", ["notes", "provenance"])
    def test_an_infinity_beside_the_metrics_is_refused(self, store, field):
        """A literal that overflows is no number of a note either."""
        body = json.dumps(forged(run=forged()["run"] | {field: {"x": [0.5]}})).encode().replace(b"[0.5]", b"[1e999]")
        path = store.path(ROPE.slug, KEY, 42)
        path.parent.mkdir(parents=True)
        digest = hashlib.sha256(body).hexdigest().encode()
        path.write_bytes(b'{"sha256": "' + digest + b'",\n"record": ' + body + b"}\n")
        assert store.load(ROPE.slug, KEY, 42) is None

    @pytest.mark.parametrize("depth", [1_000, 100_000, 2_000_000])
    def test_a_depth_bomb_is_refused(self, store, depth):
        """Nesting that would exhaust the stack is damage like any other."""
        body = b'{"schema": 1, "key": ' + b"[" * depth + b"]" * depth + b"}"
        path = store.path(ROPE.slug, KEY, 42)
        path.parent.mkdir(parents=True)
        digest = hashlib.sha256(body).hexdigest().encode()
        path.write_bytes(b'{"sha256": "' + digest + b'",\n"record": ' + body + b"}\n")
        assert store.load(ROPE.slug, KEY, 42) is None

    def test_swapped_files_are_noticed(self, store):
        """Two valid records, each in the other's place: neither is believed."""
        one, two = (store.save(make_run(seed, loss=seed / 100), ROPE.slug, KEY) for seed in (42, 137))
        first, second = one.read_bytes(), two.read_bytes()
        one.write_bytes(second)
        two.write_bytes(first)
        assert store.load(ROPE.slug, KEY, 42) is None
        assert store.load(ROPE.slug, KEY, 137) is None
        assert "it is seed 137, its name says 42" in store.notices[0]

    def test_a_record_of_another_key_is_noticed(self, store):
        """A record copied from a folder of another key is refused, and the message says what differs."""
        other = make_key(source="1" * 64)
        theirs = store.save(make_run(), ROPE.slug, other)
        mine = store.path(ROPE.slug, KEY, 42)
        mine.parent.mkdir(parents=True)
        mine.write_bytes(theirs.read_bytes())
        assert store.load(ROPE.slug, KEY, 42) is None
        assert "belongs to another key: source toy.py changed" in store.notices[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FUZZ = settings(max_examples=300, suppress_health_check=list(HealthCheck))


class TestFuzzing:
    """The reader gives a record or calls it damaged; nothing else comes out of it."""

    @FUZZ
    @given(st.binary(max_size=400))
    def test_any_bytes(self, data):
        """Random bytes are damage."""
        with pytest.raises(DamagedRecord):
            decode(data)

    @FUZZ
    @given(JSON)
    def test_any_json_with_a_right_checksum(self, content):
        """Random JSON in a right frame is damage."""
        with pytest.raises(DamagedRecord):
            decode(seal(content))

    @FUZZ
    @given(st.data())
    def test_any_field_replaced(self, data):
        """A valid record with one field replaced is damaged, or reads back exactly as it stands."""
        content = forged()
        place = data.draw(st.sampled_from([content, content["run"], content["run"]["spec"], content["run"]["metrics"]]))
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
        try:
            record = decode(seal(content))
        except DamagedRecord:
            return
        assert json.loads(encode(record))["record"] == json.loads(json.dumps(content))

    @FUZZ
    @given(
        st.dictionaries(st.text(max_size=9), st.none() | st.floats(allow_nan=False, allow_infinity=False), max_size=5),
        st.integers(-(2**40), 2**40),
        st.dictionaries(st.text(max_size=9), JSON, max_size=3),
        st.lists(st.text(max_size=9), max_size=3),
    )
    def test_every_run_comes_back(self, metrics, seed, notes, flags):
        """Whatever a run holds, decoding its record gives it back."""
        run = RunResult(RunSpec(Variant(tuple(flags)), seed), "finished", metrics, notes)
        assert decode(encode(Record(KEY, run))).result == run
