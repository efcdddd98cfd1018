// Which way kernels go on the emulated devices, by the emulator's counters: tensor cores by mma or wgmma, TMA, and no
// bank conflict in any ldmatrix.
#include "../native/check.h"
#include "emulation/emulator.h"

using namespace magnets;
using namespace magnets::test;

namespace {

emulator::Counters of_matmul(const Subject& subject, int rows, int out, int in) {
  auto backend = subject.open();
  auto stream = backend->stream();
  Random random(1);
  auto layer =
      backend->linear({to_floats(random.matrix(out, in)).data(), DType::f32, out, in}, nullptr, subject.formats()[0]);
  auto x = backend->allocate(ElementType::activation, rows, in),
       y = backend->allocate(ElementType::activation, rows, out);
  stream->upload(to_floats(random.matrix(rows, in)).data(), rows, in, *x);
  const Input residual{*y};
  emulator::counters = {};
  stream->run(Matmul{.layer = *layer, .out = out, .in = in, .x = {*x}, .rows = rows, .residual = &residual, .y = *y});
  stream->synchronize();
  return emulator::counters;
}

emulator::Counters of_attention(const Subject& subject, int head_dim, int rows) {
  auto backend = subject.open();
  auto stream = backend->stream();
  Random random(2);
  auto layer = backend->linear({to_floats(random.matrix(head_dim, 16)).data(), DType::f32, head_dim, 16}, nullptr,
                               subject.formats()[0]);
  std::vector<int> all(rows);
  for (int i = 0; i < rows; ++i) all[i] = i;
  const RowList list(*backend, *stream, {all}, rows);
  auto cache = backend->kv_cache(1, 1, 1, head_dim, rows);
  Guarded x(*backend, *stream, random.matrix(rows, 16)), q(*backend, *stream, reference::Matrix(rows, head_dim));
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

}  // namespace

int main() {
  for (const auto& subject : subjects(Variety::devices)) {
    const bool hopper = subject->name().find("sm_90") == 0;
    const auto large = of_matmul(*subject, 260, 256, 130), small = of_matmul(*subject, 20, 64, 300);
    check(hopper ? large.wgmma > 0 && large.tma_loads > 0 && large.tma_stores > 0 && large.mma == 0
                 : large.mma > 0 && large.wgmma == 0,
          subject->name() + ": a large product");
    check(small.mma > 0 && small.wgmma == 0, subject->name() + ": a small product");
    check(large.bank_conflicts == 0 && small.bank_conflicts == 0, subject->name() + ": bank conflicts of products");
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
