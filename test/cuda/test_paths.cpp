// Which way kernels go on the emulated devices, by the emulator's counters: tensor cores by mma or wgmma, TMA, and no
// bank conflict in any ldmatrix; and which shapes of attention are chosen for devices that nobody emulates.
#include <tuple>

#include "../../native/cuda/kernels/attention.h"
#include "../../native/cuda/ops/attention_shape.h"
#include "../native/check.h"
#include "emulation/emulator.h"

using namespace magnets;
using namespace magnets::cuda;
using namespace magnets::test;

namespace {

emulator::Counters of_matmul(const Subject& subject, int rows, int out, int in, bool normed = false) {
  auto backend = subject.open();
  auto stream = backend->stream();
  Random random(1);
  auto layer =
      backend->linear({to_floats(random.matrix(out, in)).data(), DType::f32, out, in}, nullptr, subject.formats()[0]);
  auto x = backend->allocate(ElementType::activation, rows, in),
       y = backend->allocate(ElementType::activation, rows, out);
  stream->upload(to_floats(random.matrix(rows, in)).data(), rows, in, *x);
  const RandomNorm norm(*backend, *stream, random, out);
  const Input residual{*y};
  const Matmul sum{.layer = *layer, .out = out, .in = in, .x = {*x}, .rows = rows, .residual = &residual, .y = *y};
  emulator::counters = {};
  if (normed) {
    stream->run(sum, Normalize{.x = *y, .norm = norm.norm, .rows = rows, .columns = out, .y = *y});
  } else {
    stream->run(sum);
  }
  stream->synchronize();
  return emulator::counters;
}

emulator::Counters of_attention(const Subject& subject, int head_dim, int rows) {
  auto backend = subject.open();
  auto stream = backend->stream();
  Random random(2);
  auto layer = backend->linear({to_floats(random.matrix(head_dim, 16)).data(), DType::f32, head_dim, 16}, nullptr,
                               subject.formats()[0], {.out = head_dim});
  std::vector<int> all(rows);
  for (int i = 0; i < rows; ++i) all[i] = i;
  const RowList list(*backend, *stream, {all}, rows);
  auto cache = backend->kv_cache(1, 1, 1, head_dim, rows);
  Guarded x(*backend, *stream, random.matrix(rows, 16)), q(*backend, *stream, rows, 1, head_dim);
  stream->run(ProjectQkv{.query = *layer,
                         .key = *layer,
                         .value = *layer,
                         .heads = 1,
                         .head_dim = head_dim,
                         .in = 16,
                         .x = {*x.buffer},
                         .rows = list.rows(),
                         .layer = 0,
                         .cache = *cache,
                         .q = *q.buffer});
  stream->synchronize();
  emulator::counters = {};
  stream->run(Attention{.q = *q.buffer,
                        .rows = list.rows(),
                        .layer = 0,
                        .cache = *cache,
                        .heads = 1,
                        .head_dim = head_dim,
                        .out = *q.buffer});
  stream->synchronize();
  return emulator::counters;
}

/// On a device of 132 multiprocessors without wgmma.
AttentionProblem problem(int most_rows, int heads) {
  return {.head_dim = 64,
          .most_rows = most_rows,
          .heads = heads,
          .capability = 80,
          .multiprocessors = 132,
          .block_shared = 163 << 10};
}

/// A picture of 256 tokens and the class, in 2 to 16 heads, under guidance.
void shapes_of_pictures() {
  struct Expected {
    int rows, heads, block_rows, groups;
  };
  for (const auto& [rows, heads, block_rows, groups] : {
           Expected{257, 4, 16, 4},     // one picture at 1/8 of the width: 68 blocks
           Expected{257, 8, 32, 4},     // 72
           Expected{257, 16, 48, 3},    // 96
           Expected{257, 32, 80, 2},    // 128; or eight pictures at 1/8
           Expected{66, 32, 32, 4},     // the active rows of one picture's last step: 96
           Expected{257, 64, 96, 1},    // eight pictures at 1/4: 192, two on a multiprocessor
           Expected{257, 256, 96, 1},   // at full width
           Expected{257, 2048, 96, 1},  // 64 pictures at full width
           Expected{1025, 32, 128, 1},  // a video
       }) {
    const AttentionShape shape = attention_shape(problem(rows, heads));
    check(shape.path == AttentionPath::mma && shape.rows == block_rows && shape.groups == groups,
          "attention of " + std::to_string(rows) + " rows, " + std::to_string(heads) + " heads: blocks of " +
              std::to_string(shape.rows) + " rows, " + std::to_string(shape.groups) + " groups");
  }
  AttentionProblem hopper = problem(257, 32);
  hopper.capability = 90;
  check(attention_shape(hopper).path == AttentionPath::wgmma, "heads of 64 go by wgmma on sm_90");
  hopper.head_dim = 56;
  check(attention_shape(hopper).path == AttentionPath::mma, "other heads do not");
  hopper.head_dim = 136;
  check(attention_shape(hopper).path == AttentionPath::wide, "wide heads");
}

/// Where warps share keys, all blocks run at once, and no fewer rows a block would do so; and blocks fit the device.
void shapes_fit() {
  for (const int head_dim : {16, 64, 80, 96, 128}) {
    for (const auto& [multiprocessors, kilobytes] : {std::pair(108, 163), {84, 99}, {148, 227}, {4, 99}}) {
      for (const int rows : {1, 17, 100, 257, 1025}) {
        for (int heads = 1; heads < 300; heads += heads / 4 + 1) {
          AttentionProblem p = problem(rows, heads);
          p.head_dim = head_dim;
          p.multiprocessors = multiprocessors;
          p.block_shared = kilobytes << 10;
          const AttentionShape shape = attention_shape(p);
          const auto blocks = [&](int block_rows) { return (rows + block_rows - 1) / block_rows * heads; };
          const std::string what = std::to_string(rows) + " rows, " + std::to_string(heads) + " heads of " +
                                   std::to_string(head_dim) + " on " + std::to_string(multiprocessors);
          check(shape.rows > 0 && shape.rows <= 16 * most_warps(head_dim) && shape.groups > 0, what + ": a block");
          check(shape.groups == 1 || shape.rows / 16 * shape.groups <= most_sharing_warps(head_dim),
                what + ": threads");
          check(shape.groups * attention_group_bytes(kernel_dim(head_dim), shape.rows) <=
                    static_cast<size_t>(p.block_shared),
                what + ": shared memory");
          check(shape.groups == 1 || blocks(shape.rows) <= multiprocessors, what + ": more than one wave");
          check(shape.groups == 1 || shape.rows == 16 || blocks(shape.rows - 16) > multiprocessors,
                what + ": idle multiprocessors");
        }
      }
    }
  }
}

}  // namespace

int main() {
  shapes_of_pictures();
  shapes_fit();
  for (const auto& subject : subjects(Variety::devices)) {
    const bool hopper = subject->name().find("sm_90") == 0;
    const auto large = of_matmul(*subject, 260, 256, 130), small = of_matmul(*subject, 20, 64, 300);
    check(hopper ? large.wgmma > 0 && large.tma_loads > 0 && large.tma_stores > 0 && large.mma == 0
                 : large.mma > 0 && large.wgmma == 0,
          subject->name() + ": a large product");
    check(small.mma > 0 && small.wgmma == 0, subject->name() + ": a small product");
    for (const auto& [rows, out, kernels] : {std::tuple(260, 256, 1), {20, 64, 2}, {70, 2100, 2}}) {
      check(of_matmul(*subject, rows, out, 16, true).launches == static_cast<uint64_t>(hopper ? kernels : 2),
            subject->name() + ": kernels of a product and its norm, " + std::to_string(rows) + " rows of " +
                std::to_string(out));
    }
    check(large.bank_conflicts == 0 && small.bank_conflicts == 0, subject->name() + ": bank conflicts of products");
    const auto heads = of_attention(*subject, 64, 20), odd_heads = of_attention(*subject, 56, 20);
    check(hopper ? heads.wgmma > 0 && heads.tma_loads > 0 && heads.mma == 0 : heads.mma > 0 && heads.wgmma == 0,
          subject->name() + ": attention over heads of 64");
    check(odd_heads.mma > 0 && odd_heads.wgmma == 0, subject->name() + ": attention over other heads");
  }
  const auto& subject = *subjects(Variety::none)[0];
  for (const int head_dim : {16, 32, 64, 80, 96, 128, 136, 512}) {
    for (const int rows : {20, 130}) {
      const auto counters = of_attention(subject, head_dim, rows);
      check(counters.mma > 0 && counters.ldmatrix > 0, "attention uses tensor cores");
      check(counters.bank_conflicts == 0, "bank conflicts of attention, head_dim " + std::to_string(head_dim));
    }
  }
  return report("paths");
}
