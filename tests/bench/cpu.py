"""The CPU engine beside ONNX Runtime: one thread, one BERT-base-sized random checkpoint, one run.

    cargo build --release -p mednerd-engine-tract --example forward_bench
    python tests/bench/cpu.py [--precision int8] [--bin PATH] [--lengths 32 128 512] [--rounds 10] [--layers 12 --hidden 768]

Run by hand, never by `make test`. Needs torch, transformers, onnx, onnxruntime and 2 GB of temporary disk. Both engines
run in a process of their own and take turns on the same ids, note by note, so that whatever else the machine does
meets both. The table gives the median CPU time of the calling thread and the least wall time; the ratio is ONNX Runtime's
CPU time over ours, the median over the rounds (above 1: we are faster). For int8, ONNX Runtime runs what its own dynamic
quantisation, per channel, makes of the export. Last come load times, resident memory, and the largest difference of a
logit from `transformers`.
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
    said = {"load_ms": load, "resident": resident(), "peak": resident("VmHWM"), "before": before}
    print(json.dumps(said), flush=True)
    for line in sys.stdin:
        ids = numpy.array([[int(word) for word in line.split()]])
        feeds = {"input_ids": ids, "attention_mask": numpy.ones_like(ids), "token_type_ids": numpy.zeros_like(ids)}
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


def make_checkpoint(directory, arguments):
    """A random token classifier of the size asked for, as safetensors and as ONNX."""
    import torch
    import transformers

    torch.manual_seed(0)
    labels = ["O", "B-Disease", "I-Disease", "B-Chemical", "I-Chemical"]
    config = transformers.BertConfig(
        hidden_size=arguments.hidden,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.hidden // 64,
        intermediate_size=4 * arguments.hidden,
        vocab_size=arguments.vocabulary,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    model = transformers.BertForTokenClassification(config).eval()
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens += [f"token{i}" for i in range(arguments.vocabulary - len(tokens))]
    tokenizer = transformers.BertTokenizer(vocab={token: i for i, token in enumerate(tokens)})
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    ids = torch.ones(1, 7, dtype=torch.long)
    inputs = {"input_ids": ids, "attention_mask": ids, "token_type_ids": ids * 0}
    axes = {name: {0: "batch", 1: "sequence"} for name in [*inputs, "logits"]}
    exported = Path(directory) / "export" / "model.onnx"
    exported.parent.mkdir()
    torch.onnx.export(
        model, (ids,), exported, kwargs={k: v for k, v in inputs.items() if k != "input_ids"},
        input_names=list(inputs), output_names=["logits"], dynamic_axes=axes, dynamo=False, opset_version=17,
    )
    return model, exported


def quantise(exported):
    """The export after ONNX Runtime's dynamic quantisation."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, quantised = exported.with_name("prepared.onnx"), exported.with_name("int8.onnx")
    quant_pre_process(exported, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, quantised, weight_type=QuantType.QInt8, per_channel=True)
    return quantised


def compare(ours, theirs, model, arguments):
    import torch

    torch.set_num_threads(1)
    print(f"{'tokens':>6} {'mednerd ms':>11} {'least wall':>11} {'tokens/s':>9} "
          f"{'ort ms':>9} {'least wall':>11} {'tokens/s':>9} {'ratio':>6} {'max diff':>9}")
    for length in arguments.lengths:
        ids = torch.randint(5, arguments.vocabulary, (length,), generator=torch.Generator().manual_seed(length))
        with torch.no_grad():
            reference = model(ids[None]).logits.ravel()
        times = {ours: [], theirs: []}
        for turn in range(arguments.rounds + 2):
            for engine, seen in times.items():
                answer = engine.forward(ids.tolist())
                if turn >= 2:
                    seen.append((answer["cpu_ms"], answer["wall_ms"]))
                if engine is ours:
                    difference = (torch.tensor(answer["logits"]) - reference).abs().max().item()
        pairs = zip(times[ours], times[theirs])
        ratio = statistics.median(their_cpu / our_cpu for (our_cpu, _), (their_cpu, _) in pairs)
        row = []
        for seen in times.values():
            cpu = statistics.median(cpu for cpu, _ in seen)
            row += [cpu, min(wall for _, wall in seen), 1e3 * length / cpu]
        print(f"{length:>6} {row[0]:>11.1f} {row[1]:>11.1f} {row[2]:>9.0f} "
              f"{row[3]:>9.1f} {row[4]:>11.1f} {row[5]:>9.0f} {ratio:>6.2f} {difference:>9.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    target = os.environ.get("CARGO_TARGET_DIR", "target")
    parser.add_argument("--bin", default=f"{target}/release/examples/forward_bench")
    parser.add_argument("--lengths", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--precision", choices=["fp32", "int8"], default="fp32")
    parser.add_argument("--serve-onnxruntime", metavar="ONNX", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve_onnxruntime:
        serve_onnxruntime(arguments.serve_onnxruntime)
        return
    with tempfile.TemporaryDirectory() as directory:
        model, exported = make_checkpoint(directory, arguments)
        if arguments.precision == "int8":
            exported = quantise(exported)
        ours = Engine(arguments.bin, directory, arguments.precision)
        theirs = Engine(sys.executable, __file__, "--serve-onnxruntime", str(exported))
        compare(ours, theirs, model, arguments)
        size = (Path(directory) / "model.safetensors").stat().st_size
        print(f"weights' file {size / 1e6:.0f} MB")
        for name, engine in (("mednerd", ours), ("onnxruntime", theirs)):
            after = engine.forward([7] * max(arguments.lengths))
            started = engine.started
            base = f" (of it {started['before'] / 1e6:.0f} MB Python)" if "before" in started else ""
            print(f"{name}: load {started['load_ms']:.0f} ms, resident after load {started['resident'] / 1e6:.0f} MB, "
                  f"peak {started['peak'] / 1e6:.0f} MB, resident after notes {after['resident'] / 1e6:.0f} MB{base}")
            engine.stop()


if __name__ == "__main__":
    main()
