"""What an ``application.yaml`` may say. Flags beat the environment, the environment beats the file.

Environment variables are named after the keys: ``SOSIE_MODEL``, ``SOSIE_SERVING__PORT``. An unknown key is an error
that names the nearest known one. Relative paths in the file are taken from the file's folder.
"""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, YamlConfigSettingsSource

from sosie.elastic import KINDS
from sosie.errors import NotFound, SettingsError
from sosie.registry import nearest

__all__ = ["Application", "json_schema", "read_application"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSection(_Section):
    """One source of pictures."""

    path: str = Field(description="A folder, archive, URL list, dataset database or address.")
    label_from_folders: bool = Field(False, description="Each picture's folder becomes its label.")
    include: tuple[str, ...] = Field((), description="Only names that match one of these patterns.")
    exclude: tuple[str, ...] = Field((), description="Leave out names that match one of these patterns.")
    labels: dict[str, str] = Field(default_factory=dict, description="Labels for every picture of this source.")
    manifest: str | None = Field(None, description="A table below the folder whose columns become labels.")
    dataset: str | None = Field(None, description="What a database holds: bam, or a YAML file beside this one.")
    url_column: str | None = Field(None, description="The column of a list that holds the URL or path.")
    label_columns: tuple[str, ...] = Field((), description="The columns of a list to keep as labels; none: all.")
    sync: bool = Field(False, description="Forget pictures of this source that are gone.")
    gps: bool = Field(False, description="Keep where pictures were taken, too, as `sosie add --gps`.")
    features: Literal["now", "later", "never"] = Field(
        "later", description="When local features are computed, as `sosie add --features`."
    )


class RegionsSection(_Section):
    """Parts of pictures that are embedded, too, and the networks that find them."""

    kinds: tuple[str, ...] = Field((), description="objects, pooled, mask:CLASS or mask:!CLASS.")
    detector: str | None = Field(None, description="NAME:FILE.onnx or a description.json, as `sosie add --detector`.")
    segmenter: str | None = Field(None, description="NAME:FILE.onnx or a description.json, as `sosie add --segmenter`.")


class TrainingSection(_Section):
    """A network to train on the library's own pictures; what is left out is as `sosie train` has it."""

    recipe: Literal["classifier", "metric", "hash"] = Field(description="Learn classes, likeness, or codes.")
    name: str | None = Field(None, description="The model's name in the library; none: the recipe's.")
    adopt: Literal["if-better", "always", "never"] = Field(
        "if-better",
        description="Answer with it: where held-out pictures are found clearly better, always, never.",
    )
    labels: tuple[str, ...] = Field((), description="The labels to learn; none: the library's own choice.")
    where: str | None = Field(None, description="Learn from pictures whose labels fit.")
    start: str | None = Field(None, description="bundled, or any network of timm.")
    weights: str | None = Field(None, description="A checkpoint of start, or none for random weights.")
    head: tuple[int | str, ...] = Field((), description="Layers: units, convN, bn, dropoutP; the last embeds.")
    unfreeze: int | None = Field(None, description="Layers at the end that learn; all others are frozen.")
    epochs: int | None = Field(None, description="Passes over the pictures, at most.")
    patience: int | None = Field(None, description="Stop after so many epochs without a better one.")
    batch: int | None = Field(None, description="Pictures in a step.")
    rate: float | None = Field(None, description="Learning rate of the head.")
    optimiser: Literal["adamw", "sgd"] | None = Field(None, description="adamw or sgd.")
    schedule: Literal["cosine", "constant", "step", "exponential"] | None = Field(
        None, description="How the rate falls: cosine, constant, step or exponential."
    )
    dropout: float | None = Field(None, description="Share of units left out while learning.")
    views: int | None = Field(None, description="Augmented views kept of a picture.")
    validation: float | None = Field(None, description="Share of pictures held out.")
    unseen: int | None = Field(None, description="Classes kept out of training, to see how the rest fares.")
    balance: Literal["none", "sample", "weight"] | None = Field(None, description="How rare classes count.")
    loss: Literal["triplet", "contrastive", "arcface", "multi-similarity"] | None = Field(
        None, description="Of metric."
    )
    mining: Literal["random", "semi-hard", "hard"] | None = Field(None, description="Of triplets.")
    margin: float | None = Field(None, description="Of triplets.")
    bits: int | None = Field(None, description="Length of the codes of hash.")
    codes: Literal["auto-encoder", "supervised"] | None = Field(None, description="How codes are learned.")
    seed: int | None = Field(None, description="Equal seeds give equal weights on one machine.")


class TuningSection(_Section):
    """What is tried before it is used."""

    trials: Annotated[int, Field(ge=0)] = Field(0, description="Settings of training to try; what it gives, holds.")
    epochs: Annotated[int, Field(ge=1)] = Field(10, description="Passes of one trial.")
    index: bool = Field(False, description="Measure kinds of index on the library's vectors, and build the best.")
    kinds: tuple[str, ...] = Field((), description="Only these kinds of index; none: all.")
    k: Annotated[int, Field(ge=1)] = Field(10, description="Neighbours that the index's recall is measured at.")


class IndexSection(_Section):
    """The main index; searches are exact without one."""

    kind: str = Field("auto", description="auto, or a kind that `sosie index build --help` lists.")
    params: dict[str, Any] = Field(default_factory=dict, description="Parameters of that kind.")
    recall: Annotated[float, Field(gt=0, le=1)] = Field(0.95, description="The recall@10 that auto tunes for.")


class SearchSection(_Section):
    """Questions to answer once the library is up to date."""

    images: tuple[str, ...] = Field((), description="Pictures to search for.")
    k: Annotated[int, Field(ge=1)] = Field(10, description="How many answers each.")
    where: str | None = Field(None, description="A filter on labels.")
    class_first: bool = Field(False, description="Search within the class that the classifier gives each picture.")
    min_class: Annotated[float, Field(ge=0, le=1)] = Field(0.5, description="Less probable classes are not used.")
    html: str | None = Field(None, description="Write a contact sheet here.")
    json_file: str | None = Field(None, alias="json", description="Write the answers here.")


class EvaluationSection(_Section):
    """What to measure on the library."""

    labels: str | None = Field(None, description="Evaluate by this label.")
    copies: Annotated[int, Field(ge=0)] = Field(0, description="Evaluate on copies of so many pictures.")
    runs: str = Field("runs", description="The folder of run folders.")


class ServingSection(_Section):
    """The web page and REST API."""

    enabled: bool = Field(False, description="Serve when everything else is done.")
    host: str = Field("127.0.0.1", description="The address to listen on; others than loopback need keys.")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(6868, description="The port to listen on.")


class ElasticsearchSection(_Section):
    """The cluster that holds the library, where ``store`` is elasticsearch. Secrets belong into the environment."""

    hosts: tuple[str, ...] = Field(("http://127.0.0.1:9200",), description="Its nodes: http://… or https://…")
    name: str = Field("sosie", description="The library's name there; its indices begin with it.")
    kind: str = Field("int8_hnsw", description=f"How vectors are indexed: {', '.join(KINDS)}.")
    oversample: Annotated[float, Field(ge=1)] = Field(
        3.0, description="So many times k are looked at in full precision."
    )
    candidates: int | None = Field(None, description="So many are looked at on each shard; none: ten times k.")
    shards: Annotated[int, Field(ge=1)] = Field(1, description="Primary shards of a new index.")
    replicas: str = Field("0-1", description="Copies of each shard: a number, or a range to suit the nodes.")
    api_key: str | None = Field(None, description="An API key; better SOSIE_ELASTICSEARCH__API_KEY.")
    username: str | None = Field(None, description="A user, where there is no API key.")
    password: str | None = Field(None, description="The user's password; better SOSIE_ELASTICSEARCH__PASSWORD.")
    ca_certs: str | None = Field(None, description="The file of the authority that signed the cluster's certificate.")
    fingerprint: str | None = Field(None, description="SHA-256 of that certificate, in place of its authority.")
    patience: Annotated[float, Field(gt=0)] = Field(20.0, description="Seconds that a question may wait.")
    thumbnails: str | None = Field(None, description="Where servers share thumbnails: s3://bucket/prefix, file:///…")


class Application(BaseSettings):
    """The whole pipeline: sources → library → index → searches → evaluation → serving."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="SOSIE_", env_nested_delimiter="__", validate_default=False
    )

    library: str = Field("sosie-library", description="The library's folder.")
    model: str | None = Field(None, description="An embedder, or the JSON description of an ONNX file.")
    store: Literal["sqlite", "elasticsearch"] = Field("sqlite", description="Where the catalogue lives.")
    elasticsearch: ElasticsearchSection = ElasticsearchSection.model_validate({})
    ray: str | None = Field(None, description="A Ray cluster that reads and embeds: HOST:PORT, auto or local.")
    max_megapixels: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        None, description="Megapixels that one picture may take to decode; none: 200."
    )
    max_side: Annotated[int, Field(gt=0, le=1_000_000)] | None = Field(
        None, description="Pixels along a picture's longer side; none: 65535."
    )
    sources: tuple[SourceSection, ...] = Field((), description="Where pictures come from.")
    regions: RegionsSection = RegionsSection.model_validate({})
    training: TrainingSection | None = Field(None, description="Train a network, and adopt it if it is better.")
    tuning: TuningSection = TuningSection.model_validate({})
    index: IndexSection = IndexSection.model_validate({})
    search: SearchSection = SearchSection.model_validate({})
    evaluation: EvaluationSection = EvaluationSection.model_validate({})
    serving: ServingSection = ServingSection.model_validate({})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls)


def read_application(path: Path) -> Application:
    """Read an application.yaml; raise NotFound, or SettingsError with the line's key and the nearest known one."""
    import yaml

    if not path.is_file():
        raise NotFound(f"there is no {path}: `sosie run --schema` says what one looks like")

    class FromFile(Application):
        model_config = SettingsConfigDict(**{**Application.model_config, "yaml_file": path})

    try:
        return FromFile()  # type: ignore[call-arg]  # the file and the environment give the rest
    except ValidationError as error:
        raise SettingsError(f"{path}: {_explain(error)}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{path} must hold keys and values at its top: {error}") from error


def json_schema() -> str:
    """Return the JSON Schema of application.yaml, for editors."""
    return json.dumps({"title": "Sosie application.yaml", **Application.model_json_schema()}, indent=2)


def _explain(error: ValidationError) -> str:
    found = error.errors(include_url=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])  # a typo explains the rest
    *above, key = first["loc"] or ("",)
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        section = _section(above)
        return f"unknown key {where!r}; {nearest(str(key), section.model_fields)}"
    return f"{where}: {first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r}"


def _section(location: typing.Sequence[int | str]) -> type[BaseModel]:
    """Return the model that a key's location lies in."""
    model: type[BaseModel] = Application
    for part in location:
        if isinstance(part, str):
            model = _model_in(model.model_fields[part].annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel]:
    inner = typing.get_args(annotation)  # tuple[SourceSection, ...]
    return typing.cast(type[BaseModel], inner[0] if inner else annotation)
