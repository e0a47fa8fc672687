"""Reads an adapter file with onnxruntime and runs a graph with it: prints what it holds and the largest difference from feeding the rows."""
import json, sys
import numpy as np
import onnx
import onnxruntime as ort

from onnx import TensorProto, helper

ort.set_default_logger_severity(3)

path, name, width = sys.argv[1], sys.argv[2], int(sys.argv[3])
held = ort.AdapterFormat.read_adapter(path)
params = held.get_parameters()
rows = params[name].numpy()

def session(optional):
    doubled = helper.make_node("Add", [name, name], ["doubled"])
    info = helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width])
    empty = [helper.make_tensor(name, TensorProto.FLOAT, [0, width], [])] if optional else []
    graph = helper.make_graph([doubled], "g", [info], [helper.make_tensor_value_info("doubled", TensorProto.FLOAT, ["n", width])], empty)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

adapter = ort.LoraAdapter()
adapter.Load(path)
options = ort.RunOptions()
options.add_active_adapter(adapter)
by_adapter = session(True).run(None, {}, options)[0]
by_feed = session(False).run(None, {name: rows})[0]
print(json.dumps({
    "names": sorted(params),
    "format": held.get_format_version(), "adapter": held.get_adapter_version(), "model": held.get_model_version(),
    "shape": list(rows.shape), "dtype": str(rows.dtype), "sum": float(rows.astype(np.float64).sum()), "first": float(rows[0, 0]),
    "difference": float(np.abs(by_adapter - by_feed).max()) if by_adapter.shape == by_feed.shape else None,
}))
