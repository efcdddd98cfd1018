#!/usr/bin/env bash
# One run on a machine with a GPU of compute capability 9.0, below eight minutes, of everything that only a GPU can tell.
#
#   bench/device.sh --prepare     here: builds and packs what the run needs, build/device/pack
#   bench/device.sh [FOLDER]      there, from the root of the repository with that pack: results to FOLDER (default $OUT)
#   bench/device.sh --tiny FOLDER the same parts by the CPU and the emulation, with tiny sizes
#
# Correctness comes first. Every part has a limit of its own, leaves its files in FOLDER before the next begins, and may
# fail without the rest. What cannot be timed on a CPU is what --tiny leaves out: it says that every part runs.
set -u
cd "$(dirname "$0")/.." || exit 1

# The archives that travel, and what they may be together with the tree.
pack=build/device/pack
most=$((64 << 20))
python=${PYTHON:-python3}

# Unpacks all archives at once: each is decompressed by one core.
unpack() {
  local archive
  [ -f "$pack/node.tar.xz" ] || return 1
  for archive in "$pack"/*.tar.xz; do tar -C "$1" -xJf "$archive" & done
  wait
}

prepare() {
  set -e
  local work=build/device/work
  rm -rf "$work" "$pack" && mkdir -p "$work/build/Release" "$work/programs" "$work/bench" "$work/node_modules" "$pack"
  local programs="gpu_attention gpu_codecs gpu_decode gpu_matmul gpu_products gpu_rows gpu_sampling conformance bench_operations"
  export MAGNETS_CUDA_TARGETS=90a CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-2}
  cmake -S . -B build/device/cmake -DMAGNETS_TESTS=ON -DMAGNETS_CUDA=ON "-DMAGNETS_CUDA_TARGETS=90a"
  # shellcheck disable=SC2086
  cmake --build build/device/cmake --target $programs magnets_cuda conformance_emulated
  npx cmake-js build --out build/device/addon --CDMAGNETS_CUDA=OFF
  npm run build
  for program in $programs; do cp "build/device/cmake/test/cuda/gpu/$program" "$work/programs/"; done
  cp build/device/addon/Release/magnets.node build/device/cmake/libmagnets_cuda.so "$work/build/Release/"
  cp "$(readlink -f "$(command -v node)")" "$work/node"
  strip -s "$work/node" "$work/programs/"* "$work/build/Release/"*
  build/device/cmake/test/cuda/conformance_emulated "$work/words"
  "$python" -m bench.peers.plan L video-L --out "$work/plans.json"
  git describe --always --dirty --exclude='*' > "$work/commit"
  cp -r dist package.json binding.gyp "$work/"
  find "$work/dist" -name '*.d.ts' -delete
  cp bench/operations.js "$work/bench/"
  for module in $(npm ls --omit=dev --all --parseable | tail -n +2); do cp -rL "$module" "$work/node_modules/"; done

  # What machine code has in common, such as the same kernels in every program, xz finds within one archive.
  archive() {
    local name=$1
    shift
    tar -C "$work" -c "$@" | xz --x86 --lzma2=preset=9 -T1 > "$pack/$name.tar.xz"
  }
  archive node node
  archive native programs build
  archive package dist package.json binding.gyp bench node_modules words plans.json commit
  try_pack
  print_sizes "$work"
}

# The pack by itself, far from the tree: that nothing is missing.
try_pack() {
  local there program status
  there=$(mktemp -d)
  unpack "$there"
  MAGNETS_PREBUILD=$there "$there/node" "$there/dist/cli/main.js" info
  MAGNETS_PREBUILD=$there "$there/node" "$there/dist/cli/main.js" bench --model "$PWD/bench/peers/tiny" --steps 1 \
    --repeats 1 > /dev/null
  for program in "$there/programs/"*; do
    if ldd "$program" | grep 'not found'; then exit 1; fi
  done
  "$there/programs/gpu_rows" || status=$?
  case ${status-0} in 0 | 77) ;; *) exit 1 ;; esac  # 77: no device
  rm -r "$there"
}

print_sizes() {
  local work=$1 tree packed
  tree=$(git ls-files -z --cached --others --exclude-standard | xargs -0 stat -c '%s %n')
  packed=$(cd "$pack" && stat -c '%s %n' ./*)
  {
    awk '{ split($2, part, "/"); size[part[1]] += $1 } END { for (name in size) print size[name], "tree/" name }' <<< "$tree"
    sed 's|\./|pack/|' <<< "$packed"
    (cd "$work" && stat -c '%s unpacked/%n' node programs/* build/Release/* && du -sb dist node_modules words plans.json) |
      sed 's|\t| unpacked/|'
  } | sort -k2,2.5 -k1,1nr | awk '{ printf "%12d  %s\n", $1, $2 }'
  awk -v most=$most '{ all += $1; of[/tar.xz$/] += $1 } END {
    printf "tree %d bytes, pack %d bytes, together %d of %d\n", of[0], of[1], all, most
    if (all > most) { printf "Expected at most %d bytes for the tree and the pack but they have %d more\n", most, all - most; exit 1 }
  }' <<< "$tree
$packed"
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
  unpack "$files" || { echo "Expected $pack, which --prepare makes"; exit 2; }
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
  for test in products attention matmul rows sampling codecs decode; do part $test 25 "$programs/gpu_$test"; done
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
