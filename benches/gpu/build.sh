#!/usr/bin/env bash
# Builds `sdlab` with CUDA on a machine that has a Rust toolchain, gcc and pip; neither a GPU nor the CUDA toolkit.
#
#   benches/gpu/build.sh [cargo arguments]        the program is target-cuda/release/sdlab
#
# With a toolkit installed (`nvcc` on the path), `cargo build --release --features cuda` does the same.
#   CUDA_WHEELS        where the compiler and libraries are kept (about 1.2 GB)
#   CUDA_COMPUTE_CAP   the GPU's compute capability without its dot; 90 = H100 and H200
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
wheels=${CUDA_WHEELS:-$HOME/.cache/sdlab-cuda}
cuda=$wheels/nvidia/cu13

# CUDA 13.0, the newest that drivers of the 580 series can run
if [ ! -x "$cuda/bin/nvcc" ] || [ ! -e "$cuda/lib/libcublas.so.13" ]; then
  python3 -m pip install --quiet --no-deps --upgrade --target "$wheels" \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.1.0.3 nvidia-curand==10.4.0.35
fi

# wheels hold `libX.so.N` only, the linker looks for `libX.so`
for library in cudart.so.13 nvrtc.so.13 cublas.so.13 cublasLt.so.13 curand.so.10; do
  ln -sf "lib$library" "$cuda/lib/lib${library%.*}"
done

# the driver's library comes with the driver: link against a stub that has its name and its functions
(cd "$project" && cargo fetch --quiet)
mkdir -p "$cuda/lib/stubs"
bindings=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-*/src/driver/sys/mod.rs | sort -V | tail -n 1)
grep -ohE 'fn cu[A-Z][A-Za-z0-9_]*' "$bindings" | sort -u | sed 's/^fn \(.*\)$/int \1(void) { return 100; }/' \
  >"$cuda/lib/stubs/stub.c"
gcc -shared -fPIC -w -Wl,-soname,libcuda.so.1 -o "$cuda/lib/stubs/libcuda.so" "$cuda/lib/stubs/stub.c"

export CUDA_HOME=$cuda CUDA_PATH=$cuda CUDA_ROOT=$cuda CUDA_TOOLKIT_ROOT_DIR=$cuda
export NVCC=$cuda/bin/nvcc PATH=$cuda/bin:$PATH CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90}
export LIBRARY_PATH=$cuda/lib:$cuda/lib/stubs${LIBRARY_PATH:+:$LIBRARY_PATH}
export RUSTFLAGS="${RUSTFLAGS:-} -L native=$cuda/lib -L native=$cuda/lib/stubs -C link-arg=-Wl,-rpath-link,$cuda/lib"
cd "$project"
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$project/target-cuda} exec cargo build --release --features cuda "$@"
