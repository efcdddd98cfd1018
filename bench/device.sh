#!/usr/bin/env bash
# One run on a machine with a GPU of compute capability 9.0, below eight minutes, of everything that only a GPU can tell.
#
#   bench/device.sh --prepare     here: builds and packs what the run needs, build/device/pack.tar.xz
#   bench/device.sh [FOLDER]      there, from the root of the repository with that pack: results to FOLDER (default $OUT)
#   bench/device.sh --tiny FOLDER the same parts by the CPU and the emulation, with tiny sizes
#
# Correctness comes first. Every part has a limit of its own, leaves its files in FOLDER before the next begins, and may
# fail without the rest. What cannot be timed on a CPU is what --tiny leaves out: it says that every part runs.
set -u
cd "$(dirname "$0")/.." || exit 1

# The archive that travels, and what it may be together with the tree.
pack=build/device/pack.tar.xz
most=$((64 << 20))

prepare() {
  set -e
  local work=build/device/work
  rm -rf "$work" && mkdir -p "$work/build/Release" "$work/programs"
  local programs="gpu_attention gpu_decode gpu_matmul gpu_products gpu_rows gpu_sampling conformance bench_operations"
  export MAGNETS_CUDA_TARGETS=90a
  # shellcheck disable=SC2086
  cmake -S . -B build/device/cmake -DMAGNETS_TESTS=ON -DMAGNETS_CUDA=ON "-DMAGNETS_CUDA_TARGETS=90a" &&
    cmake --build build/device/cmake --parallel 2 --target $programs magnets_cuda conformance_emulated
  npx cmake-js build --out build/device/addon --CDMAGNETS_CUDA=OFF
  npm run build
  for program in $programs; do
    cp "$(find build/device/cmake/test/cuda/gpu -name "$program" -type f -perm -u+x)" "$work/programs/"
  done
  cp build/device/addon/magnets.node "$work/build/Release/"
  cp build/device/cmake/libmagnets_cuda.so "$work/build/Release/"
  cp "$(readlink -f "$(command -v node)")" "$work/node"
  strip -s "$work/node" "$work/programs/"* "$work/build/Release/"*
  build/device/cmake/test/cuda/conformance_emulated "$work/words"
  python3 -m bench.peers.plan L video-L --out "$work/plans.json"
  git describe --always --dirty --exclude='*' > "$work/commit"
  cp -r dist package.json "$work/"
  mkdir "$work/bench" && cp bench/operations.js "$work/bench/"
  mkdir "$work/node_modules"
  for module in node-gyp-build fast-png gifenc iobuffer fflate; do
    if [ -d "node_modules/$module" ]; then cp -rL "node_modules/$module" "$work/node_modules/"; fi
  done
  tar -C "$work" -c . | xz -9 -T1 > "$pack"
  local tree carried
  tree=$(git ls-files -z --cached --others --exclude-standard | xargs -0 stat -c %s | awk '{ s += $1 } END { print s }')
  carried=$(stat -c %s "$pack")
  echo "tree $tree bytes, $pack $carried bytes, together $((tree + carried)) of $most"
  [ $((tree + carried)) -le $most ] || { echo "more than can travel"; exit 1; }
}

if [ "${1-}" = --prepare ]; then
  prepare
  exit
fi

tiny=
if [ "${1-}" = --tiny ]; then tiny=1 && shift; fi
out=${1-${OUT-}}
[ -n "$out" ] || { echo "Expected a folder for results, or OUT, but received none"; exit 2; }
mkdir -p "$out" && out=$(cd "$out" && pwd)
python=${PYTHON:-python3}
files=$(mktemp -d) && trap 'rm -rf "$files"' EXIT
mkdir "$files/results"
: > "$out/log.txt"

if [ -n "$tiny" ]; then
  # The emulated device stands for the GPU; PyTorch computes on the CPU.
  node=node cli=dist/cli/main.js plans=$files/plans.json budget=3600
  export EMULATOR_DEVICE=90x4
  mkdir -p "$files/build/Release"
  cp build/Release/magnets.node build/test/emulated/libmagnets_cuda.so "$files/build/Release/"
  model=bench/peers/tiny batches="1 2" video=$model video_batches=1 steps=2 repeats=1
  peer="--device cpu --plan $plans" operations=products
else
  tar -C "$files" -xJf "$pack" || { echo "Expected $pack, which --prepare makes"; exit 2; }
  node=$files/node cli=$files/dist/cli/main.js plans=$files/plans.json budget=460
  programs=$files/programs
  cp "$files/commit" "$files/results/commit.txt"  # a pack has no git: what the result files cannot name
  model=L batches="1 8 64" video=video-L video_batches="1 8" steps=12 repeats=15
  peer="--plan $plans" operations=limits,products
fi
export MAGNETS_PREBUILD=$files XDG_CACHE_HOME=$files/cache
list=${batches// /,}

# part NAME SECONDS COMMAND...: runs one part. Its output goes to the log, the end of it to the screen; the results so
# far, to results.tar.
part() {
  local name=$1 limit=$2 started=$SECONDS status
  shift 2
  if [ -n "$tiny" ]; then limit=$((20 * limit)); fi
  if [ $((budget - SECONDS)) -lt "$limit" ]; then limit=$((budget - SECONDS)); fi
  if [ "$limit" -lt 3 ]; then
    echo "$name: left out, the time is up" | tee -a "$out/log.txt" "$files/results/parts.txt"
    return
  fi
  echo "== $SECONDS s: $name" | tee -a "$out/log.txt"
  timeout -k 5 "$limit" "$@" > "$files/output" 2>&1
  status=$?
  cat "$files/output" >> "$out/log.txt"
  tail -n 3 "$files/output"
  case $status in 0) status=ok ;; 77) status=skipped ;; 124 | 137) status="cut" ;; *) status="failed ($status)" ;; esac
  echo "$name: $status, $((SECONDS - started)) s" | tee -a "$out/log.txt" "$files/results/parts.txt"
  tar -C "$files/results" -cf "$out/results.tar" .
}
results=$files/results
# ours NAME SECONDS MODEL BATCHES: generations by a preset or a folder.
ours() {
  part "$1" "$2" "$node" "$cli" bench --model "$3" --device cuda:0 --batch "$4" --steps $steps --guidance 2 \
    --repeats $repeats --out "$results/$1.json"
}
# peers PROGRAM NAME SECONDS MODEL BATCHES [OPTION...]: the same by PyTorch, generate or operations.
# shellcheck disable=SC2086
peers() {
  local program=$1 name=$2 limit=$3 of=$4 batch=$5
  shift 5
  part "$name" "$limit" "$python" -m "bench.peers.$program" $peer --model "$of" --batch "$batch" "$@" \
    --json "$results/$name.json"
}

# Whether it is right, before whether it is fast.
if [ -n "$tiny" ]; then
  part plans 120 "$python" -m bench.peers.plan $model --steps $steps --out "$plans"
else
  part device 10 nvidia-smi --query-gpu=name,clocks.sm,clocks.max.sm,clocks.mem,power.limit,driver_version --format=csv
  part conformance 10 "$programs/conformance" --compare "$files/words"
  for test in products attention matmul rows sampling decode; do part $test 25 "$programs/gpu_$test"; done
fi

# Generations, ours through Node and PyTorch's in turn; operations; then generations in tiles that were measured.
for batch in $batches; do
  ours "ours-$batch" 30 $model "$batch"
  peers generate "pytorch-$batch" 45 $model "$batch" --repeats $repeats
done
for batch in $video_batches; do
  ours "ours-video-$batch" 30 $video "$batch"
  peers generate "pytorch-video-$batch" 45 $video "$batch" --repeats $repeats
done
if [ -z "$tiny" ]; then
  part operations 40 sh -c '"$1" cuda:0 > "$2"' operations "$programs/bench_operations" "$files/operations.json"
  part operations-file 10 "$node" "$files/bench/operations.js" --from "$files/operations.json" --out "$results/operations.json"
fi
# cuDNN's attention and FlashAttention at every shape.
peers operations pytorch-attention 25 $model "$list" --repeats 3 --operations attention
peers operations pytorch-attention-video 20 $video "${video_batches// /,}" --repeats 3 --operations attention
peers operations pytorch-operations 40 $model "${list/,8,/,}" --repeats 3 --operations $operations
part tune 40 "$node" "$cli" tune --model $model --device cuda:0 --batch "$list" --steps $steps --guidance 2
cp "$files"/cache/magnets/*.json "$results/tiles.json" 2> /dev/null
part info 10 "$node" "$cli" info
ours tuned 40 $model "$list"

# Each kernel by itself, and what reads or writes beyond its memory.
if [ -z "$tiny" ]; then
  part kernels 40 ncu --graph-profiling node --clock-control none --metrics gpu__time_duration.sum --csv \
    --log-file "$results/kernels.csv" -c 600 "$node" "$cli" bench --model L --device cuda:0 --guidance 2 --repeats 1
  part memcheck 30 compute-sanitizer --tool memcheck "$programs/gpu_products"
fi
part summary 20 "$node" bench/summary.js "$results" --plans "$plans"
cp "$files/output" "$out/summary.txt"
cat "$files/output"
