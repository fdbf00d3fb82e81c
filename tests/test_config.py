"""The configuration: one source, clear errors."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from signrep_core.config import Config, default_yaml, load_config, load_config_file, reference_page
from signrep_core.errors import ConfigError

ROOT = Path(__file__).parents[1]


def test_config_yaml_is_what_the_models_generate():
    assert (ROOT / "config.yaml").read_text() == default_yaml(), "run: signrep config > config.yaml"


def test_the_page_on_the_configuration_is_what_the_models_generate():
    command = "signrep config --format markdown > docs/configuration.md"
    assert (ROOT / "docs/configuration.md").read_text() == reference_page(), f"run: {command}"


def test_default_yaml_loads_as_the_defaults():
    assert load_config(yaml.safe_load(default_yaml())) == Config()


def test_every_key_has_a_reason():
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
        ({"pretrain": {"run": "angles"}}, "pretrain.run: expected a name of your own"),
    ],
)
def test_a_wrong_value_names_the_key_and_what_was_expected(values, message):
    with pytest.raises(ConfigError) as error:
        load_config(values)
    assert message in str(error.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError, match=r"videos_per_shard.*\n.*sheeet"):
        load_config({"sheeet": 1, "videos_per_shard": -1})


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("- a\n- b\n")
    with pytest.raises(ConfigError, match="expected keys and values at the top level, found list"):
        load_config_file(str(tmp_path / "c.yaml"))
    (tmp_path / "c.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match="cannot be read as YAML"):
        load_config_file(str(tmp_path / "c.yaml"))


@pytest.mark.parametrize("overlay", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_overlay_is_a_valid_configuration(overlay):
    load_config_file(str(overlay))


def test_the_paper_s_run_has_the_paper_s_values():
    pretrain = load_config_file(str(ROOT / "configs/youtube_sl_25.yaml")).pretrain
    assert (pretrain.mask_ratio, pretrain.weight_decay, pretrain.layer_decay) == (0.8, 0.5, 0.85)
    assert (pretrain.quick_start, pretrain.regularize_after) == (False, 0)
    assert (pretrain.preset, pretrain.iterations, pretrain.batch_size) == ("base", 500_000, 20)  # A3, A4
    assert (pretrain.learning_rate, pretrain.warmup, pretrain.validate_every) == (1e-4, 50_000, 25_000)


def test_the_conda_environment_has_the_pinned_versions():
    pins = set((ROOT / "constraints.txt").read_text().lower().split())
    *_, pip = yaml.safe_load((ROOT / "envs/signrep.yaml").read_text())["dependencies"]
    assert set(pip["pip"]) <= pins
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][name] for name in ("pose", "workflow", "report")]
    needed = {re.match(r"[\w.-]+", requirement)[0] for requirement in sum(extras, project["dependencies"])}
    assert {pin.split("==")[0] for pin in pip["pip"]} == needed
