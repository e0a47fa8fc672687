#!/usr/bin/env bash
# Installs the real @tensorflow/tfjs-node 4.22 into the folder named (default .tfjs-node), apart from this project's own packages. Node 20 or 22.
# Its install script downloads TensorFlow from Google's storage. Where that is out of reach, the native library comes from the tensorflow-cpu wheel
# (python3 with pip) and the binding is compiled from the npm package (make and a C++ compiler; npm_config_nodedir=PREFIX for Node's headers).
#   bench/peers/tfjs-node.sh && npm run test:tfjs-node
set -euo pipefail
dir=$(mkdir -p "${1:-.tfjs-node}" && cd "${1:-.tfjs-node}" && pwd); cd "$dir"
version=4.22.0
works() { node -e 'const tf = require("@tensorflow/tfjs-node"); console.log("tfjs-node", tf.version["tfjs-node"], "on", tf.getBackend(), Array.from(tf.matMul([[1, 2]], [[3], [4]]).dataSync()))' 2>/dev/null; }
node -e 'process.exit(Number(process.versions.node.split(".")[0] > 22))' || { echo "tfjs-node $version fails on Node $(node -v): use Node 20 or 22." >&2; exit 1; }
[ -f package.json ] || echo '{"private":true}' > package.json
works && exit
timeout 600 npm install --no-audit --no-fund "@tensorflow/tfjs-node@$version" > install.log 2>&1 && works && exit

npm install --ignore-scripts --no-audit --no-fund "@tensorflow/tfjs-node@$version" > install.log 2>&1 || { tail -n 5 install.log >&2; exit 1; }
if [ ! -d wheel/tensorflow ]; then
  mkdir -p wheel
  python3 -m pip download -q --retries 0 --timeout 5 --no-deps -d wheel tensorflow-cpu
  python3 -m zipfile -e wheel/tensorflow_cpu*.whl wheel
  rm wheel/tensorflow_cpu*.whl
fi
from=$dir/wheel/tensorflow; pkg=$dir/node_modules/@tensorflow/tfjs-node; napi=8
mkdir -p "$pkg/deps/lib" "$pkg/deps/include"
cp -r "$from/include/." "$pkg/deps/include/"
for name in cc:2: framework:2:_framework; do IFS=: read -r part major as <<< "$name"
  ln -sf "$from/libtensorflow_$part.so.$major" "$pkg/deps/lib/"
  ln -sf "libtensorflow_$part.so.$major" "$pkg/deps/lib/libtensorflow$as.so"
done
cd "$pkg"
npx --yes node-gyp rebuild --module_name=tfjs_binding --module_path="$pkg/lib/napi-v$napi" --napi_build_version=$napi > "$dir/build.log" 2>&1 ||
  { tail -n 5 "$dir/build.log" >&2; exit 1; }
cd "$dir" && works || { echo "built, but it does not load: see $dir/build.log" >&2; exit 1; }
