"""Write the tables of rendered signers that `signrep train calibration` reads."""

from pathlib import Path

from signrep_core.bench.rendered_signers import calibration_tables

if __name__ == "__main__":
    truth, pose = calibration_tables(Path("results/benchmarks/lifting"))
    print(f"--truth {truth} --pose {pose}")
