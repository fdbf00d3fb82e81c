"""A small finished results folder, without rendering: the pose is the synthetic signers' truth, the videos show bars.

Everything between the pose and the shards is made as the stages' scripts make it, with their records: six videos in
two shards, one of them rejected and one excluded.
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from safetensors.numpy import save_file

from signrep_core.body.bones import BoneHistogram, median_offsets
from signrep_core.body.kinematics import forward_kinematics
from signrep_core.body.priors import activity, distances
from signrep_core.config import Config, Crop, load_config
from signrep_core.inspect.report.card import write_card
from signrep_core.inspect.report.statistics import describe_shard
from signrep_core.inspect.report.summary import format_summary, summarize
from signrep_core.inspect.wanted import Wanted
from signrep_core.sources.overlap import write_overlap
from signrep_core.sources.sheet import Row, write_sheet
from signrep_core.store import schemas
from signrep_core.store.files import atomic_path, file_digest, read_json, write_json, write_text
from signrep_core.store.job import open_job
from signrep_core.store.layout import OUTPUTS, WHOLE
from signrep_core.store.pack import PackedFiles, StageFiles, pack_shard, write_index
from signrep_core.store.tables import TableWriter, read_groups, read_table, write_table
from signrep_core.store.video_status import finalise
from signrep_core.synthetic.corpus import plan_corpus, true_columns
from signrep_core.video.probe import probe_shard
from tests.video.painted import crop_videos, write_video

N_FRAMES = 32
RUN = "test"
FILES = sum(2 if "{shard}" in output.pattern else 1 for output in OUTPUTS)  # one of each kind, one of each shard


class Builder:
    """Runs the jobs of a workflow one after the other."""

    def __init__(self, folder: Path) -> None:
        self.results = folder / "results"
        self.config = load_config(
            {"results": str(self.results), "sheet": str(folder / "videos.tsv"), "videos_per_shard": 3,
             "pretrain": {"run": RUN, "iterations": 4}, "recognition": {"datasets": []}}
        )  # fmt: skip
        plan = plan_corpus(signers=3, glosses=2, takes=1, size=64, seed=0, kind="isolated")
        self.truth = {performance.video_id: true_columns(performance) for performance in plan}
        videos = {video: write_video(folder / f"{video}.mp4", range(N_FRAMES)) for video in self.truth}
        self.rows = [Row(p.video_id, str(videos[p.video_id]), "made", p.split, p.gloss, "und", p.signer) for p in plan]
        write_sheet(folder / "videos.tsv", self.rows)
        self.wanted = Wanted(self.config, self.rows)
        self.rejected, self.excluded = self.rows[1].video_id, self.rows[5].video_id
        self.shards = {"00000": self.rows[:3], "00001": self.rows[3:]}

    def do(
        self, rule: str, shard: str | None, inputs: Mapping[str, Any], outputs: Mapping[str, str], make: Any
    ) -> None:
        """One job: `make(inputs, outputs, provenance)`."""

        def path(name: str) -> Path:
            return self.results / name.format(shard=shard)

        ins = {
            name: [path(n) for n in ([value] if isinstance(value, str) else value)] for name, value in inputs.items()
        }
        outs = {name: path(value) for name, value in outputs.items()}
        given = {name: value[0] if isinstance(inputs[name], str) else value for name, value in ins.items()}
        params = self.wanted.params(rule, {"shard": shard or "", "dataset": "made"})
        with open_job([*outs.values()], ins, params=params, config=self.config) as job:
            make(given, outs, job.provenance)
        assert job.provenance["rule"] == rule
        if shard:
            write_text(self.results / f"benchmarks/{rule}/{shard}.tsv", "s\tcpu_time\n2.0\t1.5\n")

    def build(self) -> Path:
        """The whole run."""
        self.do("write_synthetic_sheet", None, {}, {"sheet": "synthetic/videos.tsv"},
                lambda i, o, p: write_sheet(o["sheet"], self.rows))  # fmt: skip
        for shard, rows in self.shards.items():
            self.do("synthesize", shard, {}, {"truth": "synthetic/truth/{shard}.parquet"}, partial(self._truth, rows))
            self._videos(shard, rows)
            self._pose(shard, rows)
        self.do("median_bones", None, {"bones": [f"bones/{shard}.json" for shard in self.shards]},
                {"bones": "bones.json"}, self._median_bones)  # fmt: skip
        self.do("audit_overlap", None, {"overlaps": [f"overlap/{shard}.tsv" for shard in self.shards]},
                {"audit": "overlap.tsv"}, lambda i, o, p: write_overlap(o["audit"], []))  # fmt: skip
        for shard in self.shards:
            self._targets(shard)
        each = {name: [f"{name}/{shard}.parquet" for shard in self.shards] for name in ("sequences", "videos")}
        each["statistics"] = [f"statistics/{shard}.json" for shard in self.shards]
        self.do("index_shards", None,
                {"sequences": each["sequences"], "mp4s": [f"shards/{shard}.mp4" for shard in self.shards]},
                {"index": "shards/index.parquet", "info": "shards/info.json"},
                lambda i, o, p: write_index(i["sequences"], i["mp4s"], o["index"], o["info"], p))  # fmt: skip
        self._model()
        self.do("summarize", None, each, {"text": "summary.txt", "json": "summary.json"}, self._summary)
        pages = {output.pattern: output.pattern for output in WHOLE if output.rule == "report"}
        weights = self.results / f"pretrain/{RUN}/best.safetensors"
        self.do("write_card", None, {"videos": each["videos"], "index": "shards/index.parquet"},
                {"card": "README.md"},
                lambda i, o, p: write_card(self.results, i["videos"], o["card"], weights))  # fmt: skip
        self.do("report", None, {**each, "summary": "summary.json"}, pages, self._report)
        return self.results

    def _truth(self, rows: list[Row], i: Any, o: Any, p: Any) -> None:
        with TableWriter(o["truth"], schemas.TRUTH, p) as writer:
            for row in rows:
                writer.write(self.truth[row.video_id])

    def _videos(self, shard: str, rows: list[Row]) -> None:
        videos = probe_shard(rows, threads=1)
        probed, deduplicated = "video_status/probe/{shard}.parquet", "video_status/deduplicate/{shard}.parquet"
        self.do("probe", shard, {}, {"videos": probed},
                lambda i, o, p: write_table(o["videos"], schemas.VIDEOS, videos, p))  # fmt: skip

        def deduplicate(i: Any, o: Any, p: Any) -> None:
            ended = {self.excluded: ("excluded", "overlap", "in a list")} if shard == "00001" else {}
            write_table(o["videos"], schemas.VIDEOS, finalise(videos, ended), p)
            write_overlap(o["overlap"], [])

        self.do("deduplicate", shard, {"videos": probed},
                {"videos": deduplicated, "overlap": "overlap/{shard}.tsv"}, deduplicate)  # fmt: skip

    def _pose(self, shard: str, rows: list[Row]) -> None:
        def pose(i: Any, o: Any, p: Any) -> None:
            videos = read_table(i["videos"], schemas.VIDEOS)
            ended = {self.rejected: ("rejected", "no_signer", "nobody")} if shard == "00000" else {}
            videos = finalise(videos, ended)
            with TableWriter(
                o["pose"], schemas.POSE, {**p, "backend": "mediapipe 0 holistic", "model_sha256": "of the truth"}
            ) as writer:
                for video, status in zip(videos["video_id"], videos["status"], strict=True):
                    if status == "ok":
                        writer.write(self._pose_rows(video))
            write_table(o["videos"], schemas.VIDEOS, videos, p)

        def angles(i: Any, o: Any, p: Any) -> None:
            bones = BoneHistogram()
            with TableWriter(o["angles"], schemas.ANGLES, p) as writer:
                for group in read_groups(i["pose"], schemas.POSE):
                    truth = self.truth[group["video_id"][0]]
                    rest = {"residual_m": np.zeros(N_FRAMES), "interpolated": np.zeros(N_FRAMES, bool),
                            "confidence": np.ones((N_FRAMES, 61)), "flag": [""] * N_FRAMES}  # fmt: skip
                    names = ("video_id", "frame", "time_s", "body_angles", "right_angles", "left_angles",
                             "body_offsets", "hand_offsets")  # fmt: skip
                    writer.write({**{name: truth[name][:N_FRAMES] for name in names}, **rest})
                    bones.add(group["landmarks"], group["confidence"])
            write_json(o["bones"], {**bones.to_dict(), "provenance": p})

        posed, pose_table = "video_status/extract_pose/{shard}.parquet", "pose/{shard}.parquet"
        self.do("extract_pose", shard, {"videos": "video_status/deduplicate/{shard}.parquet"},
                {"pose": pose_table, "videos": posed}, pose)  # fmt: skip
        self.do("solve_angles", shard, {"pose": pose_table, "videos": posed},
                {"angles": "angles/{shard}.parquet", "bones": "bones/{shard}.json"}, angles)  # fmt: skip

    def _pose_rows(self, video: str) -> dict[str, Any]:
        truth = {name: values[:N_FRAMES] for name, values in self.truth[video].items()}
        xy = np.float32(truth["image_xy"]) + 40
        return {
            **{name: truth[name] for name in ("video_id", "frame", "time_s")},
            "present": np.ones(N_FRAMES, bool), "doubtful": np.zeros(N_FRAMES, bool),
            "damaged": np.zeros(N_FRAMES, bool), "part": np.zeros(N_FRAMES, np.int32),
            "shot": np.zeros(N_FRAMES, np.int32), "landmarks": truth["joints"],
            "right_hand": ["seen"] * N_FRAMES, "left_hand": ["seen"] * N_FRAMES,
            "image_xy": xy, "confidence": np.ones((N_FRAMES, 61)),
            "box": np.concatenate([xy.min(1), xy.max(1)], 1),
        }  # fmt: skip

    def _median_bones(self, i: Any, o: Any, p: Any) -> None:
        corpus = BoneHistogram()
        for part in i["bones"]:
            corpus = corpus.merge(read_json(part, BoneHistogram.from_dict, "solve_angles"))
        write_json(o["bones"], {**corpus.medians(), "provenance": p})

    def _targets(self, shard: str) -> None:
        def keypoints(i: Any, o: Any, p: Any) -> None:
            offsets = read_json(i["bones"], median_offsets, "median_bones")
            with TableWriter(o["keypoints"], schemas.KEYPOINTS, p) as writer:
                for g in read_groups(i["angles"], schemas.ANGLES):
                    joints = forward_kinematics(g["body_angles"], g["right_angles"], g["left_angles"], *offsets)
                    keys = {key: g[key] for key in ("video_id", "frame", "time_s")}
                    writer.write({**keys, "keypoints": joints, "confidence": np.ones((N_FRAMES, 61))})

        def priors(schema: schemas.Schema) -> Any:
            def write(i: Any, o: Any, p: Any) -> None:
                with TableWriter(o["table"], schema, p) as writer:
                    for g in read_groups(i["keypoints"], schemas.KEYPOINTS):
                        keys = {key: g[key] for key in ("video_id", "frame", "time_s")}
                        if schema is schemas.DISTANCES:
                            writer.write({**keys, **distances(g["keypoints"], g["confidence"])[0]})
                        else:
                            right, left = activity(g["keypoints"], g["confidence"])
                            writer.write({**keys, "right_active": right, "left_active": left})

            return write

        points = {"keypoints": "keypoints/{shard}.parquet"}
        self.do("angles_to_keypoints", shard,
                {"angles": "angles/{shard}.parquet", "pose": "pose/{shard}.parquet", "bones": "bones.json"}, points,
                keypoints)  # fmt: skip
        self.do("distance_priors", shard, points, {"table": "distances/{shard}.parquet"}, priors(schemas.DISTANCES))
        self.do("activity_labels", shard, points, {"table": "activity/{shard}.parquet"}, priors(schemas.ACTIVITY))
        self._shard(shard)

    def _shard(self, shard: str) -> None:
        def crop(i: Any, o: Any, p: Any) -> None:
            videos = read_table(i["videos"], schemas.VIDEOS)
            result = crop_videos(videos, i["pose"], o["mp4"], Config(crop=Crop(preset="ultrafast")))
            write_table(o["crops"], schemas.CROPS, result.crops, {**p, "encoder": result.encoder})
            write_table(o["videos"], schemas.VIDEOS, finalise(videos, result.rejected), p)

        def pack(i: Any, o: Any, p: Any) -> None:
            pack_shard(shard, StageFiles(**i), PackedFiles(**o), provenance=p)

        self.do("crop_signers", shard,
                {"videos": "video_status/extract_pose/{shard}.parquet", "pose": "pose/{shard}.parquet"},
                {"crops": "crops/{shard}.parquet", "mp4": "crops/{shard}.mp4", "videos": "videos/{shard}.parquet"},
                crop)  # fmt: skip
        stages = {name: f"{name}/{{shard}}.parquet" for name in ("crops", "angles", "keypoints", "activity")}
        self.do("pack_shards", shard,
                {"videos": "videos/{shard}.parquet", "mp4": "crops/{shard}.mp4", **stages},
                {"mp4": "shards/{shard}.mp4", "frames": "shards/{shard}.parquet",
                 "sequences": "sequences/{shard}.parquet"}, pack)  # fmt: skip

        numbers = {name: f"{name}/{{shard}}.parquet" for name in ("pose", "angles", "activity", "crops")}
        self.do("describe_shard", shard, numbers, {"statistics": "statistics/{shard}.json"},
                lambda i, o, p: write_json(o["statistics"], {**describe_shard(**i).to_dict(), "provenance": p})
                )  # fmt: skip

    def _model(self) -> None:
        """Weights, features and metrics with random content."""
        index = "shards/index.parquet"
        weights, metrics = f"pretrain/{RUN}/best.safetensors", f"pretrain/{RUN}/metrics.csv"
        features = f"features/{RUN}/made.parquet"
        rng = np.random.default_rng(0)

        def train(i: Any, o: Any, p: Any) -> None:
            with atomic_path(o["weights"]) as partial_path:
                about = {"format": "signrep-1", "notes": dict(p)}
                save_file({"w": rng.normal(size=(100, 200))}, partial_path, {"signrep": json.dumps(about)})
            write_text(o["metrics"], "step,loss,clips_per_s\n2,1.5,10\n4,1.25,11\n")

        def extract(i: Any, o: Any, p: Any) -> None:
            origin = {**p, "weights_sha256": file_digest(i["weights"])} if "weights" in i else p
            with TableWriter(o["features"], schemas.features_schema(8), origin) as writer:
                for video in read_table(i["index"], schemas.SEQUENCES)["video_id"]:
                    writer.write({"video_id": [video] * 9, "start_frame": np.arange(9) * 2,
                                  "features": rng.normal(size=(9, 8)), "right_active": np.ones(9),
                                  "left_active": np.zeros(9)})  # fmt: skip

        def evaluate(names: Sequence[str], i: Any, o: Any, p: Any) -> None:
            result = {"metrics": dict.fromkeys(names, 50.0), "chance": dict.fromkeys(names, 50.0), "baselines": {}}
            write_json(o["metrics"], {**result, "counts": {"gallery_videos": 2, "query_videos": 2}, "provenance": p})
            if "figure" in o:
                with atomic_path(o["figure"]) as partial_path:
                    cv2.imwrite(str(partial_path), rng.integers(0, 255, (64, 64, 3), np.uint8))

        def answer(schema: schemas.Schema, names: Sequence[str]) -> Any:
            def write(i: Any, o: Any, p: Any) -> None:
                evaluate(names, i, o, p)
                videos = read_table(i["index"], schemas.SEQUENCES, ["video_id"])["video_id"]
                columns = {column.name: [""] * len(videos) if column.dtype == schemas.TEXT else np.zeros(len(videos))
                           for column in schema.columns}  # fmt: skip
                origin = {**p, "weights_sha256": file_digest(i["weights"])}
                write_table(o["answers"], schema, {**columns, "video_id": videos}, origin)

            return write

        self.do("pretrain", None, {"index": index}, {"weights": weights, "metrics": metrics}, train)
        self.do("draw_augmented_windows", None, {"index": index}, {"figure": f"figures/augmented_{RUN}.png"},
                lambda i, o, p: write_text(o["figure"], "a picture of windows\n"))  # fmt: skip
        self.do("extract_features", None, {"weights": weights, "index": index}, {"features": features}, extract)
        self.do("evaluate_retrieval", None, {"features": features, "index": index},
                {"metrics": f"retrieval/{RUN}/made.json", "figure": f"figures/retrieval_{RUN}_made.png"},
                partial(evaluate, ("R@1", "MRR")))  # fmt: skip
        for kind in ("keypoints", "angles"):
            self.do("pool_keypoints", None, {"index": index}, {"features": f"features/{kind}/made.parquet"}, extract)
        for task, schema, names in (
            ("recognition", schemas.PREDICTIONS, ("top1_instance", "top5_instance", "top1_class")),
            ("translation", schemas.TRANSLATIONS, ("BLEU-1", "BLEU-4", "ROUGE-L")),
        ):
            trained, answers = f"{task}/{RUN}/made/best.safetensors", f"{task}/{RUN}/made.parquet"
            figure = {"figure": f"figures/confusion_{RUN}_made.png"} if task == "recognition" else {}
            self.do(f"train_{task}", None, {"weights": weights, "index": index},
                    {"weights": trained, "metrics": f"{task}/{RUN}/made/metrics.csv"}, train)  # fmt: skip
            self.do(schema.stage, None, {"weights": trained, "index": index},
                    {"metrics": f"{task}/{RUN}/made.json", "answers": answers, **figure},
                    answer(schema, names))  # fmt: skip
        self.do("train_lifter", None, {},
                {"weights": "lifter/best.safetensors", "metrics": "lifter/metrics.csv"}, train)  # fmt: skip

    def _report(self, i: Any, o: Any, p: Any) -> None:
        for name, path in o.items():
            write_text(path, f"a picture of {name}\n")

    def _summary(self, i: Any, o: Any, p: Any) -> None:
        timings = sorted((self.results / "benchmarks/extract_pose").glob("*.tsv"))
        figures = summarize(i["videos"], i["sequences"], i["statistics"], timings)
        write_json(o["json"], {**figures, "provenance": p})
        write_text(o["text"], format_summary(figures))
