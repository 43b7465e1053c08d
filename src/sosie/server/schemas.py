"""What the API takes and gives, as pydantic models; the OpenAPI document is made from them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat

from sosie.types import LabelValue

__all__ = [
    "MOST_SELECTED",
    "Added",
    "ApplyJob",
    "BuildJob",
    "BulkLabelsBody",
    "BulkOut",
    "ClassifyOut",
    "CompareOut",
    "DecisionBody",
    "DecisionsOut",
    "DuplicatesJob",
    "DuplicatesOut",
    "FolderJob",
    "HealthOut",
    "HitOut",
    "IdsBody",
    "IdsOut",
    "InfoOut",
    "JobOut",
    "JobRequest",
    "JobsOut",
    "LabelsBody",
    "LabelsIn",
    "LabelsOut",
    "LogOut",
    "MapOut",
    "ObjectsOut",
    "PictureOut",
    "PicturesOut",
    "PlanBody",
    "PlanOut",
    "QuarantineOut",
    "QueryOut",
    "ReadyOut",
    "RetryJob",
    "SearchOut",
    "TuneJob",
    "UndoJob",
    "UrlBody",
]

Label = Annotated[str, Field(max_length=1000)]
LabelIn = Label | StrictFloat | list[Label] | None
LabelsIn = Annotated[dict[Annotated[str, Field(min_length=1, max_length=100)], LabelIn], Field(max_length=100)]
LabelOut = str | float | list[str]
MOST_LINES = 20_000  # of a plan
MAX_ID = (1 << 53) - 1  # what JSON numbers hold exactly
MOST_SELECTED = 10_000  # pictures that one call changes or gives


Verdict = Literal["identical", "same_pixels", "altered_copy", "contains", "is_part_of", "same_object", "similar"]


class _Out(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class HitOut(_Out):
    """One answer: a picture of the library, what it is to the query, and why."""

    rank: int
    id: int
    uri: str = Field(description="where it is; for a key that may only read, a local file's name: urn:sosie:file:a.jpg")
    score: float
    distance: float | None = Field(description="by the index's metric; of cosines 1 - score; 0 for the same picture")
    verdict: Verdict
    probability: float | None
    labels: dict[str, LabelOut]
    region: tuple[float, float, float, float] | None = Field(description="x, y, width, height, each 0 to 1")
    evidence: dict[str, Any]
    gone: bool = Field(False, description="its file was not there when it was last looked for")
    weak: bool = Field(False, description="no more alike than unrelated pictures of this library are")
    facts: dict[str, list[str | float]] = Field({}, description="what was read or recognised in it: `exif.date`, `tag`")
    thumbnail_url: str = Field(description="relative to this server")
    width: int | None = Field(description="of the picture, in pixels; null where it was removed meanwhile")
    height: int | None


class SearchOut(_Out):
    """The answer to one query, a page of it."""

    query: str
    hits: list[HitOut]
    not_judged: int = Field(0, description="candidates without stored local features whose files were not read")
    answered: bool = Field(True, description="false where every hit of the whole answer is weak")
    took_ms: float = Field(description="from the request to its answer, in milliseconds")
    took: dict[str, float] = Field({}, description="milliseconds: decode, embed, search, verify; total is took_ms")
    index: dict[str, Any]
    asked: dict[str, Any] = Field({}, description="the parts of the query that were searched for, where there were any")
    next_cursor: str | None = Field(description="give it as `cursor` for the next page; null at the end")
    ends_at: int | None = Field(None, description="after so many hits the answer was cut; null where it holds all")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "query": "17",
                "hits": [
                    {
                        "rank": 1,
                        "id": 42,
                        "uri": "file:///photos/boat.jpg",
                        "score": 0.93,
                        "distance": 0.07,
                        "verdict": "altered_copy",
                        "probability": 0.998,
                        "labels": {"label": "boat"},
                        "region": [0.1, 0.2, 0.5, 0.5],
                        "evidence": {},
                        "thumbnail_url": "/api/v1/pictures/42/thumbnail",
                        "width": 1024,
                        "height": 768,
                    }
                ],
                "answered": True,
                "took_ms": 3.2,
                "took": {"decode": 1.3, "embed": 0.8, "search": 0.4, "total": 3.2},
                "index": {"kind": "exact", "recall": 1.0},
                "next_cursor": "WzEwLCAiMmM2YSJd",
            }
        }
    )


class ClassOut(_Out):
    """A class, and how probable it is."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    name: str = Field(alias="class")
    probability: float


class ClassifyOut(_Out):
    """What the library's classifier says of a picture."""

    query: str
    model: str
    label: str = Field(description="the label that the classes were learned from")
    several: bool = Field(description="whether a picture may have several classes")
    classes: list[ClassOut] = Field(description="likeliest first")


class ObjectOut(_Out):
    """A thing that was found in a picture."""

    number: int = Field(description="give it as `object` to /search")
    box: tuple[float, float, float, float] = Field(description="x, y, width, height, each 0 to 1")
    label: str | None
    confidence: float


class ObjectsOut(_Out):
    """The objects in a picture, surest first."""

    objects: list[ObjectOut]


class QueryOut(_Out):
    """A picture that was uploaded to search with, kept in memory for a while."""

    query: str = Field(description="give it as `query` to /search")
    width: int
    height: int


class RecallOut(_Out):
    """What the checked share of searches reached, over the last 1,000 checked."""

    recall: float | None = Field(description="null before the first check")
    checked: int
    dropped: int = Field(description="samples let go because too many waited")
    failed: int
    last_error: str


class HealthOut(_Out):
    """The process answers."""

    status: Literal["up"]


class ReadyOut(BaseModel):
    """The library answers; one on a cluster says more of how it is."""

    model_config = ConfigDict(extra="allow")

    status: Literal["ready"]
    pictures: int


class MapOut(_Out):
    """Pictures as points: columns of equal length."""

    ids: list[int]
    x: list[float] = Field(description="-1 to 1")
    y: list[float] = Field(description="-1 to 1")
    colours: list[int] = Field(description="positions in `values`, -1 for none")
    values: list[str] = Field(description="of the label, most frequent first")
    label: str | None
    labels: list[str]
    explained: float = Field(description="how much of the variance the two axes hold")
    total: int = Field(description="pictures of the library; of many a sample is drawn")


class InfoOut(_Out):
    """What the library holds and how it answers."""

    model: str
    pictures: int
    locations: int
    quarantined: int
    bytes: int
    spaces: list[dict[str, Any]]
    index: dict[str, Any] = Field(description="kind, recall measured when it was built, length of the exact tail")
    recall_in_service: RecallOut | None = Field(description="null where no searches are checked")


class UrlBody(_In):
    """Where a picture is."""

    url: Annotated[str, Field(min_length=1, max_length=4000)]

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"url": "https://example.org/photo.jpg"}})


class PictureOut(_Out):
    """A picture of the library."""

    id: int
    sha256: str
    bytes: int
    format: str
    width: int
    height: int
    uris: list[str]
    labels: dict[str, LabelOut]
    added_at: float
    facts: dict[str, list[str | float]] = Field({}, description="what was read or recognised in it: `exif.date`, `tag`")
    gone: bool = Field(False, description="its file was not there when it was last looked for")


class PicturesOut(_Out):
    """A page of pictures, by id or in another order; with one, ``total`` says how many there are."""

    pictures: list[PictureOut]
    next_cursor: str | None
    total: int | None = None


class Added(_Out):
    """What became of an upload."""

    id: int
    status: Literal["indexed", "known"] = Field(description="`known`: the library had these very bytes")


class LabelsBody(_In):
    """Labels to set; null removes one."""

    labels: LabelsIn

    model_config = ConfigDict(
        extra="forbid", allow_inf_nan=False, json_schema_extra={"example": {"labels": {"label": "boat"}}}
    )

    @property
    def values(self) -> dict[str, LabelValue | None]:
        """The labels as the catalogue takes them."""
        return {name: tuple(each) if isinstance(each, list) else each for name, each in self.labels.items()}


class IdsBody(_In):
    """Pictures, by their ids."""

    ids: Annotated[list[Annotated[int, Field(ge=0, le=MAX_ID)]], Field(min_length=1, max_length=MOST_SELECTED)]

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"ids": [17, 18]}})


class BulkLabelsBody(IdsBody, LabelsBody):
    """Labels to set on many pictures; null removes one."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={"example": {"ids": [17, 18], "labels": {"label": "boat"}}},
    )


class IdsOut(_Out):
    """Ids of pictures in an order, and how many there are in all."""

    ids: list[int]
    total: int


class BulkOut(_Out):
    """How many pictures were changed; those that are not there any more do not count."""

    changed: int


class LabelsOut(_Out):
    """Every label, its values and how many pictures carry each."""

    labels: dict[str, dict[str, int]]


class LogEntryOut(_Out):
    """What somebody did, and when, in seconds since 1970."""

    id: int
    at: float
    actor: str
    deed: str
    detail: dict[str, Any]


class LogOut(_Out):
    """A page of the log, the latest first."""

    entries: list[LogEntryOut]
    next_cursor: str | None


class QuarantinedOut(_Out):
    """A file that could not become a picture."""

    uri: str
    reason: str
    detail: str
    tries: int
    at: float


class QuarantineOut(_Out):
    """The files that were refused, and why."""

    total: int
    reasons: dict[str, int]
    files: list[QuarantinedOut]


class FolderJob(_In):
    """Add what a folder of the server holds."""

    kind: Literal["add"]
    source: Annotated[str, Field(min_length=1, max_length=4096)]
    sync: StrictBool = False
    label_from_folders: StrictBool = False

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"kind": "add", "source": "/photos/2024"}})


class BuildJob(_In):
    """Build an index of the whole library."""

    kind: Literal["build"]
    index: Annotated[str, Field(max_length=40)] = "auto"


class TuneJob(_In):
    """Measure index kinds on the library's own vectors and build the fastest that reaches the recall."""

    kind: Literal["tune"]
    recall: Annotated[float, Field(gt=0, le=1)] = 0.95
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    kinds: Annotated[list[Annotated[str, Field(max_length=40)]], Field(min_length=1, max_length=20)] | None = None


class RetryJob(_In):
    """Try the quarantined files again, all or those of one reason."""

    kind: Literal["retry"]
    reason: Annotated[str, Field(max_length=100)] | None = None


class DuplicatesJob(_In):
    """Look for copies inside the library."""

    kind: Literal["duplicates"]


class ApplyJob(_In):
    """Carry out lines of a plan of duplicates; all of it can be undone."""

    kind: Literal["apply"]
    lines: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MOST_LINES)]
    folder: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(
        None, description="where a plan that moves files moves them to"
    )


class UndoJob(_In):
    """Undo the plan of duplicates that was carried out last."""

    kind: Literal["undo"]


JobRequest = Annotated[
    FolderJob | BuildJob | TuneJob | DuplicatesJob | ApplyJob | UndoJob | RetryJob, Field(discriminator="kind")
]


class JobOut(_Out):
    """A piece of long work."""

    id: str
    kind: str
    title: str
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    created_at: float
    ended_at: float | None


class JobsOut(_Out):
    """The latest jobs, newest first."""

    jobs: list[JobOut]


class DecisionBody(_In):
    """What a person decided about two pictures."""

    a: Annotated[int, Field(ge=0, le=MAX_ID)]
    b: Annotated[int, Field(ge=0, le=MAX_ID)]
    decision: Literal["not_a_copy", "same_picture", "keep_both"] | None = Field(
        description="null takes a decision back"
    )

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"a": 17, "b": 42, "decision": "keep_both"}}
    )


class DecisionOut(_Out):
    """A decision that stands."""

    a: str
    b: str
    decision: str
    at: float


class DecisionsOut(_Out):
    """Every decision, oldest first."""

    decisions: list[DecisionOut]


class CompareOut(_Out):
    """What two pictures are to each other, as `sosie compare --json` says it, and how they lie over each other.

    `matrix` takes relative points of the first to relative points of the second (homogeneous, row by row);
    `points` are matched places as x, y of the first and x, y of the second.
    """

    first: dict[str, Any]
    second: dict[str, Any]
    verdict: Verdict
    probability: float
    cut_off: float
    evidence: dict[str, Any]
    certificate: dict[str, Any] | None
    sentences: list[str]
    findings: list[dict[str, str]] = Field(description="the sentences as names and values, for other languages")
    matrix: list[list[float]] | None
    points: list[list[float]]


class PlanBody(_In):
    """Files of groups of duplicates that a person gives up."""

    action: Literal["link", "move", "delete"]
    give_up: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=8192)]], Field(min_length=1, max_length=MOST_LINES)
    ] = Field(description="URIs of files, as the groups name them")

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"action": "delete", "give_up": ["file:///photos/copy.jpg"]}}
    )


class PlanOut(_Out):
    """A plan, as `sosie duplicates apply` and a job of kind `apply` take it, and what is left out of it."""

    lines: list[dict[str, Any]]
    refused: list[dict[str, str]]
    bytes: int = Field(description="the size of the files that are given up")


class DuplicatesOut(_Out):
    """Groups of copies inside the library, and matches between groups that merged nothing."""

    pictures: int
    cut_off: float
    groups: list[dict[str, Any]]
    bridges: list[dict[str, Any]]
