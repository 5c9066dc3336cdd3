"""The CPU engine beside ONNX Runtime: one thread, a random checkpoint of a real model's size, one run.

    CARGO_TARGET_DIR=$(dirname "$(make -s bin-dir)") cargo build --release --locked --workspace --examples
    python tests/bench/cpu.py [--shape deberta-v3-base] [--precision int8] [--lengths 32 128 512] [--rounds 10]

Run by hand, never by `make test`. Needs torch, transformers, onnx, onnxscript, onnxruntime and 3 GB of temporary disk.
ONNX Runtime gets every export that succeeds: traced, by torch.export, and for BERT with its own fusions
(`onnxruntime.transformers.optimizer`); for int8, what its dynamic quantisation, per channel, makes of each. All engines
run in a process of their own and take turns on the same ids, note by note, so that whatever else the machine does
meets all. The table gives the median CPU time of the calling thread and the least wall time, and the same of the export
that was fastest at that length; the ratio is its CPU time over ours, the median over the rounds (above 1: we are
faster). Last come load times, resident memory, and the largest difference of a logit from `transformers`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import binaries

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def resident(key="VmRSS"):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {key}")


def serve_onnxruntime(path):
    """The other side of the protocol of `examples/forward_bench.rs`."""
    import numpy
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    before = resident()
    start = time.perf_counter()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    load = (time.perf_counter() - start) * 1e3
    takes = [taken.name for taken in session.get_inputs()]
    said = {"load_ms": load, "resident": resident(), "peak": resident("VmHWM"), "before": before}
    print(json.dumps(said), flush=True)
    for line in sys.stdin:
        ids = numpy.array([[int(word) for word in line.split()]])
        feeds = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}
        feeds = {name: feeds[name] for name in takes}
        wall, cpu = time.perf_counter(), time.process_time()
        (logits,) = session.run(["logits"], feeds)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        said = {"wall_ms": wall * 1e3, "cpu_ms": cpu * 1e3, "resident": resident(), "logits": logits.ravel().tolist()}
        print(json.dumps(said), flush=True)


class Engine:
    """A process that answers a line of ids with a line of JSON."""

    def __init__(self, *command):
        pipe = subprocess.PIPE
        environment = os.environ | ONE_THREAD
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.started = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def forward(self, ids):
        self.process.stdin.write(" ".join(map(str, ids)) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


def exports(model, directory, wanted=("traced", "fused", "exported")):
    """The ways to bring a model into ONNX Runtime: (name, path) of each wanted one that succeeds."""
    import torch

    ids = torch.ones(1, 19, dtype=torch.long)
    names = ["input_ids", "attention_mask"]
    common = dict(kwargs={"attention_mask": ids}, input_names=names, output_names=["logits"])
    axes = {name: {0: "batch", 1: "sequence"} for name in [*names, "logits"]}
    sequence = torch.export.Dim("sequence", min=4, max=512)
    ways = {
        "traced": dict(dynamo=False, opset_version=17, dynamic_axes=axes),
        "exported": dict(dynamo=True, opset_version=18, dynamic_shapes={name: {1: sequence} for name in names}),
    }
    for way, options in ways.items():
        if way not in wanted:
            continue
        path = Path(directory) / way / "model.onnx"
        path.parent.mkdir()
        try:
            torch.onnx.export(model, (ids,), path, **common, **options)
        except Exception as error:  # the exporter's own failures have no common kind
            print(f"not {way}: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        yield way, path
        if way == "traced" and "fused" in wanted and model.config.model_type == "bert":
            from onnxruntime.transformers import optimizer

            heads, hidden = model.config.num_attention_heads, model.config.hidden_size
            fused = optimizer.optimize_model(str(path), model_type="bert", num_heads=heads, hidden_size=hidden)
            fused.save_model_to_file(str(path.with_name("fused.onnx")))
            yield "fused", path.with_name("fused.onnx")


def quantise(exported):
    """An export after ONNX Runtime's dynamic quantisation."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantised = exported.with_suffix(".int8.onnx")
    # The type of what the shape inference does not know, as of ONNX Runtime's own fused operators.
    options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(exported, quantised, weight_type=QuantType.QInt8, per_channel=True, extra_options=options)
    return quantised


def compare(ours, theirs, model, arguments):
    """Prints a line for each length; `theirs` is an engine by the name of its export."""
    import torch

    torch.set_num_threads(1)
    print(f"{'tokens':>6} {'mednerd ms':>11} {'least wall':>11} {'tokens/s':>9} {'ort ms':>9} {'least wall':>11} "
          f"{'tokens/s':>9} {'ratio':>6} {'max diff':>9}  fastest export")
    for length in arguments.lengths:
        ids = torch.randint(5, model.config.vocab_size, (length,), generator=torch.Generator().manual_seed(length))
        with torch.no_grad():
            reference = model(ids[None]).logits.ravel()
        times = {engine: [] for engine in (ours, *theirs.values())}
        for turn in range(arguments.rounds + 2):
            for engine, seen in times.items():
                answer = engine.forward(ids.tolist())
                if turn >= 2:
                    seen.append((answer["cpu_ms"], answer["wall_ms"]))
                if engine is ours:
                    difference = (torch.tensor(answer["logits"]) - reference).abs().max().item()
        cpu = {engine: statistics.median(cpu for cpu, _ in seen) for engine, seen in times.items()}
        export = min(theirs, key=lambda name: cpu[theirs[name]])
        pairs = zip(times[ours], times[theirs[export]])
        ratio = statistics.median(their_cpu / our_cpu for (our_cpu, _), (their_cpu, _) in pairs)
        row = []
        for engine in (ours, theirs[export]):
            row += [cpu[engine], min(wall for _, wall in times[engine]), 1e3 * length / cpu[engine]]
        print(f"{length:>6} {row[0]:>11.1f} {row[1]:>11.1f} {row[2]:>9.0f} {row[3]:>9.1f} {row[4]:>11.1f} "
              f"{row[5]:>9.0f} {ratio:>6.2f} {difference:>9.1e}  {export}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default=binaries.EXAMPLES / "forward_bench")
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--shape", default="bert-base", help="a name of shapes.py")
    parser.add_argument("--precision", choices=["fp32", "int8"], default="fp32")
    parser.add_argument("--serve-onnxruntime", metavar="ONNX", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_onnxruntime:
        serve_onnxruntime(arguments.serve_onnxruntime)
        return
    import shapes
    import transformers

    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as directory:
        model = shapes.make(directory, *shapes.named(arguments.shape)).eval()
        paths = dict(exports(model, directory))
        if arguments.precision == "int8":
            paths = {name: quantise(path) for name, path in paths.items()}
        ours = Engine(arguments.bin, directory, arguments.precision)
        theirs = {
            name: Engine(sys.executable, __file__, "--serve-onnxruntime", str(path)) for name, path in paths.items()
        }
        compare(ours, theirs, model, arguments)
        size = (Path(directory) / "model.safetensors").stat().st_size
        print(f"weights' file {size / 1e6:.0f} MB")
        for name, engine in {"mednerd": ours, **theirs}.items():
            after = engine.forward([7] * max(arguments.lengths))
            started = engine.started
            base = f" (of it {started['before'] / 1e6:.0f} MB Python)" if "before" in started else ""
            print(f"{name}: load {started['load_ms']:.0f} ms, resident after load {started['resident'] / 1e6:.0f} MB, "
                  f"peak {started['peak'] / 1e6:.0f} MB, resident after notes {after['resident'] / 1e6:.0f} MB{base}")
            engine.stop()


if __name__ == "__main__":
    main()
