"""The prepare phase: check a job's inputs and store the prepared data, before a GPU is allocated."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from tunewright_contracts.phase_result import DatasetSummary, Outcome, PhaseResult
from tunewright_contracts.progress import Phase
from tunewright_contracts.run_spec import RunSpec
from tunewright_contracts.storage_uri import StorageURI
from tunewright_evaluator.progress_server import ProgressBoard
from tunewright_storage.base_model import TOKENIZER_PATTERNS, fetch_base_model
from tunewright_storage.store import Store
from tunewright_trainer.chat.conversation import Conversation
from tunewright_trainer.chat.tokenizer import ConversationTokenizer
from tunewright_trainer.dataset import storage
from tunewright_trainer.dataset.record import InputFile, Split
from tunewright_trainer.errors import Reason
from tunewright_trainer.evaluate.metrics import check_metrics
from tunewright_trainer.limits import length_limit
from tunewright_trainer.prepare.deduplicate import deduplicate
from tunewright_trainer.prepare.notes import describe_context, describe_reading, limit_notes, rank_keys
from tunewright_trainer.prepare.problems import list_problems, show_problems
from tunewright_trainer.prepare.records import judge_problems, judge_template, read_records
from tunewright_trainer.prepare.sources import check_overlap, list_files
from tunewright_trainer.prepare.split import SplitPercents, check_splits, describe_shares, split_records
from tunewright_trainer.prepare.token_check import TokenCheck
from tunewright_trainer.prepare.validate import check_length
from tunewright_trainer.process.patience import Patience
from tunewright_trainer.process.settings import Settings
from tunewright_trainer.publish.servable import check_adapter_shape

log = structlog.get_logger(__name__)


def prepare(spec: RunSpec, store: Store, settings: Settings, board: ProgressBoard, patience: Patience) -> PhaseResult:
    """Validate, deduplicate, split and store the dataset; a second run has the same result.

    Raises:
        TrainerError, StorageError, StorageURIError: the job cannot be trained with these inputs and settings.
    """
    board.update(phase=Phase.PREPARING)
    check_metrics(spec.evaluation.metrics)
    check_adapter_shape(spec)
    output = StorageURI.parse(spec.output_uri)
    check_overlap(spec.dataset.sources, output)
    store.check_writable(output)
    listed_files = list_files(spec.dataset.sources, store, settings.sources_root)
    files = listed_files.files
    inputs = storage.list_inputs(files)
    inputs_digest = storage.digest_inputs(spec, files)
    uri = storage.dataset_uri(output, inputs_digest)
    # Data that is already there is not trusted: everyone who can write to the bucket can store data for these inputs.
    stored = _prepare_files(
        spec, store, settings, patience, files=files, inputs=inputs, uri=uri, inputs_digest=inputs_digest
    )
    prepared = stored.summarise()
    # Files that are not read belong to this job, not to the prepared data, which other jobs share.
    notes = (*listed_files.notes, *prepared.notes)
    summary = prepared.updated(notes=limit_notes(notes))
    for note in notes:
        log.warning("dataset_note", note=note)
    listed = f", listed in {summary.problems_uri}" if summary.problems_uri else ""
    return PhaseResult(
        outcome=Outcome.SUCCEEDED,
        reason=Reason.PREPARED,
        message=(
            f"{summary.train} training, {summary.validation} validation and {summary.evaluation} held-out records; "
            f"skipped {summary.duplicates} duplicates and {summary.skipped} invalid records{listed}"
            + "".join(f". {note.removesuffix('.')}" for note in summary.notes)
        ),
        dataset=summary,
    )


def _prepare_files(
    spec: RunSpec,
    store: Store,
    settings: Settings,
    patience: Patience,
    *,
    files: Sequence[InputFile],
    inputs: dict[str, str],
    uri: StorageURI,
    inputs_digest: str,
) -> storage.StoredDataset:
    model_folder = settings.work / "tokenizer"
    patience.repeat(lambda: fetch_base_model(spec.base_model, model_folder, store, TOKENIZER_PATTERNS))
    tokenizer = ConversationTokenizer.from_folder(model_folder, spec.base_model.chat_template)
    tokenizer.template.check_answers_directly()
    limit, setting = length_limit(spec)
    token_check = TokenCheck(tokenizer)

    def measure(conversation: Conversation, added: int) -> int:
        tokens = token_check.count_tokens(conversation, added)
        check_length(tokens, limit, setting)
        return tokens

    read = read_records(files, spec.dataset.system_prompt, measure)
    log.info("records_read", files=len(files), valid=len(read.records), invalid=read.invalid)
    first_problems = show_problems(read.problems)
    for problem in first_problems:
        log.warning("invalid_record", record=problem)
    list_uri = list_problems(store, StorageURI.parse(spec.run_uri), read.problems, read.invalid)
    judge_template(read, spec.base_model.name)
    judge_problems(read, spec.dataset.on_invalid_record, spec.dataset.max_invalid_percent, list_uri)
    unique, duplicates = deduplicate(read.records, spec.dataset.deduplication)
    percents = SplitPercents(spec.dataset.validation_percent, spec.dataset.evaluation_percent)
    division = split_records(unique, percents)
    check_splits(division, percents, duplicates)
    splits = division.splits
    summary = DatasetSummary(
        digest=inputs_digest,  # write_dataset replaces it by the content's digest
        uri=str(uri),
        train=len(splits[Split.TRAIN]),
        validation=len(splits[Split.VALIDATION]),
        evaluation=len(splits[Split.EVALUATION]),
        skipped=read.invalid,
        duplicates=duplicates,
        tokens=sum(record.tokens for record in unique),
        max_tokens=max(record.tokens for record in unique),
        first_problems=first_problems,
        problems_uri=list_uri,
        ignored_keys=rank_keys(read.ignored_keys),
        notes=limit_notes(
            (
                *describe_reading(read),
                *describe_context(token_check.context_answers),
                *describe_shares(division, percents),
            )
        ),
        stop_token_ids=tuple(sorted(token_check.taught)),
    )
    draft = storage.DatasetManifest(
        summary=summary,
        files=(),
        inputs=inputs,
        inputs_digest=inputs_digest,
    )
    return storage.write_dataset(store, uri, settings.work / "dataset", splits, draft)
