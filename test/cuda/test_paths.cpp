// Which way kernels go on the emulated devices, by the emulator's counters: tensor cores by mma or wgmma, TMA, graphs
// that are recorded once, and no bank conflict in any ldmatrix.
#include "../../native/engine/session_pool.h"
#include "../native/check.h"
#include "emulation/emulator.h"

using namespace magnets;
using namespace magnets::test;

namespace {

emulator::Counters of_linear(const Subject& subject, int rows, int out, int in) {
  auto backend = subject.open();
  auto stream = backend->stream();
  Random random(1);
  const DType dtype = subject.dtypes()[0];
  auto layer = backend->linear({to_floats(random.matrix(out, in)).data(), DType::f32, out, in}, nullptr, dtype);
  auto x = backend->allocate(ElementType::activation, rows, in),
       y = backend->allocate(ElementType::activation, rows, out);
  stream->upload(to_floats(random.matrix(rows, in)).data(), rows, in, *x);
  emulator::counters = {};
  stream->linear(*layer, out, in, *x, rows, Epilogue::store, Part::mlp, *y);
  stream->synchronize();
  return emulator::counters;
}

emulator::Counters of_attention(const Subject& subject, int head_dim, int rows) {
  auto backend = subject.open();
  auto stream = backend->stream();
  Random random(2);
  auto layer = backend->linear({to_floats(random.matrix(head_dim, 16)).data(), DType::f32, head_dim, 16}, nullptr,
                               subject.dtypes()[0]);
  std::vector<int> all(rows);
  for (int i = 0; i < rows; ++i) all[i] = i;
  const RowList list(*backend, *stream, {all}, rows);
  auto cache = backend->kv_cache(1, 1, 1, head_dim, rows);
  Guarded x(*backend, *stream, random.matrix(rows, 16)), q(*backend, *stream, reference::Matrix(rows, head_dim));
  stream->project_qkv(*layer, *layer, *layer, 1, head_dim, 16, *x.buffer, list.rows(), 0, Part::projections, *cache,
                      *q.buffer);
  stream->synchronize();
  emulator::counters = {};
  stream->attention(*q.buffer, list.rows(), 0, *cache, 1, head_dim, Part::attention, *q.buffer);
  stream->synchronize();
  return emulator::counters;
}

void records_steps_once(const Subject& subject) {
  const TransformerConfig layers{.layers = 1,
                                 .hidden_size = 16,
                                 .heads = 2,
                                 .head_dim = 16,
                                 .intermediate_size = 32,
                                 .pre_norm = false,
                                 .gelu_tanh = true,
                                 .layer_norm_eps = 1e-6f};
  RandomWeights weights(1);
  const auto generator = std::make_shared<const Generator>(
      subject.open(), GeneratorConfig{.transformer = layers, .codebook_size = 8, .vocab_size = 10, .tokens = 6},
      weights, subject.dtypes()[0]);
  const auto pool = std::make_shared<SessionPool>(generator);
  const auto launches = [&](uint64_t seed, float temperature) {
    emulator::counters = {};
    const auto session = pool->open({.ids = std::vector<int32_t>(6, 9),
                                     .masked = std::vector<uint8_t>(6, 1),
                                     .class_ids = {8},
                                     .null_class_id = std::nullopt,
                                     .sample_keys = {0},
                                     .seed = seed});
    for (const int left : {3, 0}) {
      session->step({.width = {2, 32},
                     .refresh = left == 3,
                     .head_all = false,
                     .masked_after = {left},
                     .sampling = {.codebook_size = 0,
                                  .guided = false,
                                  .guidance = 0,
                                  .temperature = temperature,
                                  .top_k = 0,
                                  .choice_temperature = 1,
                                  .step = left == 3 ? 0u : 1u}});
    }
    session->ids();
    return emulator::counters;
  };
  check(launches(1, 1).recordings == 2, "two steps are recorded");
  const auto again = launches(2, 1);
  check(again.recordings == 0 && again.graph_launches == 2, "another seed repeats them");
  check(launches(2, 0.5f).recordings == 2, "another temperature is another plan");
}

}  // namespace

int main() {
  for (const auto& subject : subjects(Variety::devices)) {
    const bool hopper = subject->name().find("sm_90") == 0;
    const auto large = of_linear(*subject, 260, 256, 130), small = of_linear(*subject, 20, 64, 300);
    check(hopper ? large.wgmma > 0 && large.tma_loads > 0 && large.mma == 0 : large.mma > 0 && large.wgmma == 0,
          subject->name() + ": a large product");
    check(small.mma > 0 && small.wgmma == 0, subject->name() + ": a small product");
    check(large.bank_conflicts == 0 && small.bank_conflicts == 0, subject->name() + ": bank conflicts of products");
  }
  const auto& subject = *subjects(Variety::none)[0];
  for (const int head_dim : {16, 32, 64, 80, 96, 128}) {
    for (const int rows : {20, 130}) {
      const auto counters = of_attention(subject, head_dim, rows);
      check(counters.mma > 0 && counters.ldmatrix > 0, "attention uses tensor cores");
      check(counters.bank_conflicts == 0, "bank conflicts of attention, head_dim " + std::to_string(head_dim));
    }
  }
  records_steps_once(subject);
  return report("paths");
}
