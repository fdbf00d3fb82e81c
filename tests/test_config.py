"""The configuration: defaults, departures, reference, errors."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from signrep_core.__main__ import main
from signrep_core.body.targets import PRIORS
from signrep_core.config import (
    PAPER_CONFIG,
    Config,
    Pretrain,
    Prior,
    changed_values,
    describe_departures,
    describe_pretraining,
    load_config,
    load_config_file,
    merge,
    paper_config,
    read_yaml,
    reference_page,
    reference_yaml,
    workflow_config,
)
from signrep_core.errors import ConfigError

ROOT = Path(__file__).parents[1]


TRAININGS = ("pretrain", "recognition", "translation", "language_model")
DEMO = read_yaml(ROOT / "config.yaml")


def flat(values: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Nested values by their dotted keys."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, Mapping) else {f"{above}{name}": value}
    return found


def test_the_page_on_the_configuration_is_what_the_models_generate():
    command = "signrep config --format markdown > docs/configuration.md"
    page = reference_page(workflow_config())
    assert (ROOT / "docs/configuration.md").read_text() == page, f"run: {command}"


def test_the_page_shows_default_demo_and_source_side_by_side():
    page = reference_page(load_config({"pretrain": {"iterations": 7}}))
    assert "| `pretrain.iterations` | `500000` | `7` | A3 | optimiser steps |" in page
    assert "| `pretrain.warmup` | `50000` |  | A3 | warm-up steps |" in page
    assert "| key | default | meaning |" in page  # a section without departures and sources has neither column


PATHS = [
    ("results", None), ("sheet", None), ("deduplicate", "wlasl"), ("pose", "model"), ("angles", "lifter"),
    ("pretrain", "initial_weights"),
]  # fmt: skip


def with_path(section: str, key: str | None, path: str) -> str:
    config = load_config({section: {key: path} if key else path})
    found = getattr(config, section)
    return getattr(found, key) if key else found


@pytest.mark.parametrize(("section", "key"), PATHS)
@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        ("~/x", "/home/me/x"),
        ("$DATA/x", "/my data/x"),
        ("${DATA}x", "/my datax"),
        ("/a//b/", "/a/b"),
        ("./a", "a"),
        ("../a", "../a"),
        ("it's 50% #1 & [x] ~", "it's 50% #1 & [x] ~"),
        ("5$ and $", "5$ and $"),
        ("./~", "~"),
        ("a\u0308", "a\u0308"),
    ],
)
def test_a_path_is_expanded_and_otherwise_kept(monkeypatch, section, key, path, expanded):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DATA", "/my data")
    assert with_path(section, key, path) == expanded


@pytest.mark.parametrize(("section", "key"), PATHS)
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "expected the path of a file, or of a folder of its own, got ''"),
        (".", "of a folder of its own, got '.'"),
        ("$NOT_SET/x", "the environment variable NOT_SET is not set; set it, or write the path in full"),
        ("${NOT_SET}", "the environment variable NOT_SET is not set"),
        ("~no.such.person/x", "has no home folder here; write the path in full"),
        ("a{b}", "expected a path without '{', which the workflow cannot take"),
        ("a<b>", "expected a path without '<'"),
        ("a\nb", r"expected a path without '\n'"),
    ],
)
def test_a_path_that_cannot_be_used_is_refused(section, key, path, said):
    with pytest.raises(ConfigError, match=f"{section}{f'.{key}' if key else ''}: .*{re.escape(said)}"):
        with_path(section, key, path)


def test_names_of_splits_and_data_sets_have_one_form():
    config = load_config({"retrieval": {"queries": "Dev"}, "recognition": {"datasets": ["a\u0308 b "]}})
    assert config.retrieval.queries == "val"
    assert config.recognition.datasets == ["ä b"]
    assert config.splits == {"train", "val", "test"}


def test_the_reference_loads_as_the_defaults():
    assert load_config(yaml.safe_load(reference_yaml())) == Config()


def test_every_value_of_config_yaml_departs_from_the_default():
    defaults = flat(Config().model_dump(mode="json"))
    assert [key for key, value in flat(DEMO).items() if value == defaults[key]] == []


@pytest.mark.parametrize("overlay", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_value_of_an_overlay_departs_from_what_it_is_laid_over(overlay):
    """Over config.yaml in the workflow, over the defaults in a command."""
    values = flat(load_config(read_yaml(overlay)).model_dump(mode="json"))
    bases = [flat(base.model_dump(mode="json")) for base in (Config(), workflow_config())]
    assert [key for key in flat(read_yaml(overlay)) if all(values[key] == base[key] for base in bases)] == []


@pytest.mark.parametrize(
    "path", [ROOT / "config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))], ids=lambda p: p.stem
)
def test_every_departure_carries_its_reason(path):
    lines = [line for line in path.read_text().splitlines() if re.match(r" *\w+: +[^#\s]", line)]
    assert [line for line in lines if " # " not in line] == []


def test_the_paper_s_overlay_undoes_every_departure_of_the_demo():
    paper = load_config(merge(DEMO, read_yaml(ROOT / PAPER_CONFIG)))
    assert describe_departures(paper) == ""
    changed = flat(changed_values(paper))
    free = {"run", "workers", "compile", "save_every", "datasets", "validation", "initial_weights"}
    assert {key for key in changed if key.split(".")[0] in TRAININGS and key.split(".")[1] not in free} == set()


def test_the_paper_s_overlay_names_its_data_start_and_selection():
    paper = paper_config()
    assert (paper.pretrain.datasets, paper.pretrain.validation) == (["youtube_sl_25"], "wlasl")  # A2, A3
    assert paper.pretrain.initial_weights == "mae_hiera_base_16x224.safetensors"
    assert paper.deduplicate.wlasl == "WLASL_v0.3.json"  # A2
    assert paper.retrieval.datasets == paper.recognition.datasets == ["wlasl", "asl_citizen", "nmfs_csl"]
    assert paper.translation.datasets == ["phoenix14t", "csl_daily", "how2sign"]
    assert describe_pretraining(paper.pretrain) == (
        "pretraining: trained on youtube_sl_25, split train; started from mae_hiera_base_16x224.safetensors; selected "
        "by retrieval on the val split of wlasl"
    )


def test_a_configuration_is_compared_with_the_paper_s_run_key_by_key(tmp_path, capsys):
    (tmp_path / "mine.yaml").write_text((ROOT / PAPER_CONFIG).read_text())
    main(["config", "--against", "paper", "--configfile", str(tmp_path / "mine.yaml")])
    assert capsys.readouterr().out == "every value is that of the paper's run\n"
    changes = {"pretrain": {"iterations": 2, "initial_weights": "scratch"}, "crop": {"crf": 20}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(merge(read_yaml(ROOT / PAPER_CONFIG), changes)))
    main(["config", "--against", "paper", "--configfile", str(tmp_path / "mine.yaml")])
    assert capsys.readouterr().out.splitlines() == [
        "crop.crf: 20  # the paper's run: 18",
        "pretrain.iterations: 2  # the paper's run: 500000 [A3]",
        "pretrain.initial_weights: scratch  # the paper's run: mae_hiera_base_16x224.safetensors [supplement]",
    ]


def test_the_defaults_are_the_paper_s():
    pretrain, recognition = Config().pretrain, Config().recognition
    assert (pretrain.mask_ratio, pretrain.weight_decay, pretrain.layer_decay) == (0.8, 0.5, 0.85)
    assert (pretrain.initialise_from_data, pretrain.regularize_after) == (False, 0)
    assert (pretrain.preset, pretrain.iterations, pretrain.batch_size) == ("base", 500_000, 20)  # A3, A4
    assert (pretrain.learning_rate, pretrain.warmup, pretrain.validate_every) == (1e-4, 50_000, 25_000)
    assert (recognition.weight_decay, recognition.layer_decay) == (0.5, 0.85)  # A3


def test_a_data_set_is_translated_by_the_paper_s_translator_of_it():
    """Supplement A3: as Sign2GPT, whose BLEU of CSL-Daily counts characters; How2Sign as Tarrés et al."""
    config = load_config({"language_model": {"base": "a/b"}, "translation": {"beam": 2}})
    phoenix, csl, how2sign = map(config.translator, ("phoenix14t", "csl_daily", "how2sign"))
    assert (phoenix, how2sign) == (config.language_model, config.translation)
    assert csl == phoenix.model_copy(update={"tokenizer": "char"})
    assert phoenix.search() == {
        "beam": 4, "length_penalty": 1.0, "max_pieces": 64, "max_windows": 256
    }  # fmt: skip
    plain = load_config({"language_model": {"datasets": []}, "translation": {"by_character": []}})
    assert plain.translator("csl_daily") == plain.translation


def test_the_priors_of_the_configuration_are_those_of_the_targets():
    assert get_args(Prior) == tuple(PRIORS)


def test_departures_are_described_in_one_line():
    small = load_config(
        {
            "pretrain": {"preset": "tiny", "iterations": 400, "mask_ratio": 0, "learning_rate": 0.002, "run": "x"},
            "recognition": {"clip_by": "value"},
            "translation": {"vocabulary": 200, "workers": 3, "save_every": 5},
        }
    )
    assert describe_departures(small) == (
        "small settings: pretraining: learning rate 0.002 (paper 0.0001), tiny preset, 400 of 500,000 steps, no masks; "
        "recognition: clip by value (default norm); "
        "translation: vocabulary 200 (published 7,000); the paper's: --configfile configs/paper.yaml"
    )
    scratch = Pretrain(initial_weights="scratch")
    assert describe_departures(scratch).startswith("own settings: random initial weights;")
    assert describe_departures(scratch.model_copy(update={"initial_weights": "mae.safetensors"})) == ""
    assert describe_departures(small.translation) == (
        "own settings: vocabulary 200 (published 7,000); the paper's: --configfile configs/paper.yaml"
    )
    assert describe_departures(Config()) == ""


def test_the_identity_of_a_run_leaves_out_names_and_processes():
    section = Pretrain(run="a", workers=5, save_every=3, splits=["train", "extra"])
    assert {"run", "workers", "save_every", "log_every", "compile"}.isdisjoint(section.identity())
    assert section.identity()["splits"] == ["train", "extra"]
    assert section.identity()["betas"] == [0.9, 0.95]


def test_files_merge_key_by_key_and_later_ones_win(tmp_path):
    assert merge({"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 4}}) == {"a": {"x": 1, "y": 4}, "b": 3}
    (tmp_path / "c.yaml").write_text("pretrain: {iterations: 7}")
    config = workflow_config(tmp_path / "c.yaml")
    assert (config.pretrain.iterations, config.pretrain.preset) == (7, "tiny")


def test_every_key_has_a_description():
    sections = [Config, *(field.annotation for field in Config.model_fields.values())]
    for section in sections:
        for name, field in getattr(section, "model_fields", {}).items():
            nested = hasattr(field.annotation, "model_fields")
            assert field.annotation.__doc__ if nested else field.description, name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pretrain": {"iteratons": 5}}, "pretrain.iteratons: there is no such key; did you mean pretrain.iterations?"),
        ({"sheeet": "x"}, "sheeet: there is no such key; did you mean sheet?"),
        ({"iterations": 5}, "iterations: there is no such key; did you mean pretrain.iterations?"),
        ({"pretrain": {"targetfps": 1}}, "did you mean timeline.target_fps?"),
        ({"zzz": 1}, "zzz: there is no such key; the keys here are results, sheet"),
        ({"videos_per_shard": 0}, "videos_per_shard: input should be greater than 0, got 0"),
        ({"timeline": {"target_fps": "fast"}}, "timeline.target_fps: input should be 'native', got 'fast'"),
        ({"crop": 5}, "crop: input should be a valid dictionary"),
        ({"pretrain": {"run": "../x"}}, "pretrain.run: string should match pattern"),
        (
            {"pretrain": {"run": "keypoints"}},
            "pretrain.run: expected a name of your own (keypoints and angles are the baselines on raw poses; "
            "choose another), got 'keypoints'",
        ),
        ({"pretrain": {"crop_area": [1.0, 0.5]}}, "pretrain.crop_area: expected two numbers above 0, the smaller one"),
        ({"pretrain": {"style_stage": 5}}, "pretrain.style_stage: input should be less than or equal to 4, got 5"),
        ({"pretrain": {"run": "angles"}}, "pretrain.run: expected a name of your own"),
    ],
)
def test_a_wrong_value_names_the_key_and_what_was_expected(values, message):
    with pytest.raises(ConfigError) as error:
        load_config(values)
    assert message in str(error.value)


def test_all_problems_are_reported_together():
    with pytest.raises(ConfigError, match=r"videos_per_shard.*\n.*sheeet"):
        load_config({"sheeet": 1, "videos_per_shard": -1})


def test_a_file_without_keys_at_the_top_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match="expected keys and values at the top level, found list"):
        load_config_file(str(tmp_path / "c.yaml"))
    (tmp_path / "c.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        load_config_file(str(tmp_path / "c.yaml"))


def test_the_conda_environment_has_the_pinned_versions():
    pins = set((ROOT / "constraints.txt").read_text().lower().split())
    *_, pip = yaml.safe_load((ROOT / "envs/signrep.yaml").read_text())["dependencies"]
    assert set(pip["pip"]) <= pins
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][name] for name in ("pose", "workflow", "report", "translation")]
    needed = {re.match(r"[\w.-]+", requirement)[0] for requirement in sum(extras, project["dependencies"])}
    assert {pin.split("==")[0] for pin in pip["pip"]} == needed
