// Memory that runs out in the middle of operations, at every allocation in turn: the failure is an exception, and the
// same operations on the same stream give the same bits afterwards.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <span>
#include <string>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/cpu/kv_cache.h"
#include "check.h"
#include "failing_allocations.h"

using namespace magnets;
using namespace magnets::test;

namespace {

constexpr int kSamples = 2, kBranches = 4, kFullHeads = 3, kHeadDim = 13, kColumns = 40, kHidden = 70;
constexpr int kCodebook = 600, kClasses = 3;

/// One kind of weights for all; their values do not matter.
struct Weights {
  explicit Weights(Backend& backend, WeightFormat format) {
    Random random(5);
    const auto linear_in = [&](WeightFormat own_format, int out, int in, HeadDims heads = {}) {
      const std::vector<float> bias(out, 0.5f), weight = to_floats(random.matrix(out, in));
      return backend.linear({weight.data(), DType::f32, out, in}, bias.data(), own_format, heads);
    };
    const auto linear = [&](int out, int in, HeadDims heads = {}) { return linear_in(format, out, in, heads); };
    constexpr int kInner = kFullHeads * kHeadDim;
    query = linear(kInner, kColumns, {.out = kHeadDim});
    key = linear(kInner, kColumns, {.out = kHeadDim});
    value = linear(kInner, kColumns, {.out = kHeadDim});
    output = linear(kColumns, kInner, {.in = kHeadDim});
    up = linear(kHidden, kColumns);
    down = linear(kColumns, kHidden);
    lm_head = linear(kCodebook, kColumns);
    enlarging = linear_in(format.fine(), kColumns, layer_taps_of(Resampling::up) * kColumns);
    colours = linear_in(format.fine(), 3, layer_taps_of(Resampling::none) * kColumns);
    const auto entries = to_floats(random.matrix(kCodebook + kClasses, kColumns));
    table = backend.table({entries.data(), DType::f32, kCodebook + kClasses, kColumns}, format.fine());
  }
  std::unique_ptr<Linear> query, key, value, output, up, down, lm_head, enlarging, colours;
  std::unique_ptr<Table> table;
};

/// The buffers of one pass over sequences of `tokens` tokens, at a width.
struct Pass {
  Pass(Backend& backend, Stream& stream, int tokens, int heads, int hidden, int codebook)
      : tokens(tokens),
        heads(heads),
        hidden(hidden),
        codebook(codebook),
        norm_random(tokens),
        norm(backend, stream, norm_random, kColumns) {
    const int positions = tokens + 1;
    Random random(tokens);
    for (int i = 0; i < kSamples * tokens; ++i) {
      host_state.push_back(static_cast<uint8_t>(random.below(3)));
      host_ids.push_back(random.below(kCodebook));
    }
    host_given.assign(host_ids.size(), -1);
    const std::vector<int32_t> any_turn(host_ids.size(), kAnyTurn), masked_left(kSamples, 1);
    selected = reference::select_rows(host_state, any_turn, masked_left, kBranches, tokens, false, false);
    rows = static_cast<int>(selected.rows.size());
    logits_rows = static_cast<int>(selected.logits_rows.size());
    const auto i32 = [&](int rows, int columns) { return backend.allocate(ElementType::i32, rows, columns); };
    const auto activations = [&](int columns) { return backend.allocate(ElementType::activation, rows, columns); };
    state = backend.allocate(ElementType::u8, kSamples, tokens);
    turns = upload_new(backend, stream, ElementType::i32, kSamples, tokens, any_turn);
    ids = i32(kSamples, tokens);
    given = upload_new(backend, stream, ElementType::i32, kSamples, tokens, host_given);
    first_ids = upload_new(backend, stream, ElementType::i32, 1, kBranches,
                           std::vector<int32_t>{kCodebook, kCodebook + 1, kCodebook + 2, kCodebook + 2});
    row_offsets = upload_new(backend, stream, ElementType::i32, 1, kBranches + 1, selected.row_offsets);
    logits_offsets = upload_new(backend, stream, ElementType::i32, 1, kBranches + 1, selected.logits_offsets);
    row_list = i32(1, rows);
    logits_list = i32(1, logits_rows);
    places = upload_new(backend, stream, ElementType::f32, positions, kColumns,
                        to_floats(random.matrix(positions, kColumns)));
    cache = backend.kv_cache(1, kBranches, kFullHeads, kHeadDim, positions);
    x = activations(kColumns);
    q = backend.allocate_heads(rows, kFullHeads, kHeadDim);
    mixed = backend.allocate_heads(rows, kFullHeads, kHeadDim);
    mlp = activations(kHidden);
    gathered = activations(kColumns);
    logits = backend.allocate(ElementType::f32, logits_rows, kCodebook);
    noise_keys = upload_new(backend, stream, ElementType::i32, 3, kSamples, std::vector<int32_t>{1, 2, 3, 4, 5, 6});
    const SampleSettings values{.guidance = 1, .temperature = 1, .top_k = 7, .choice_temperature = 2, .step = 1};
    std::vector<int32_t> bits(kSampleSettingsWords);
    std::memcpy(bits.data(), &values, sizeof values);
    settings = upload_new(backend, stream, ElementType::i32, 1, kSampleSettingsWords, bits);
    drawn = i32(kSamples, tokens);
    confidence = backend.allocate(ElementType::f32, kSamples, tokens);
    faults = upload_new(backend, stream, ElementType::i32, kSamples, tokens,
                        std::vector<int32_t>(kSamples * tokens, kNoFault));
    masked_after = upload_new(backend, stream, ElementType::i32, 1, kSamples, masked_left);
    vectors = upload_new(backend, stream, ElementType::f32, kBranches, 2 * kColumns,
                         to_floats(random.matrix(kBranches, 2 * kColumns)));
    largest = i32(1, logits_rows);
    looked_up = activations(kColumns);
    picture = backend.allocate(ElementType::activation, large().rows(), kColumns);
    halved = backend.allocate(ElementType::activation, small().rows(), kColumns);
    scale_shift = backend.allocate(ElementType::f32, kSamples, 2 * kColumns);
    painted = backend.allocate(ElementType::f32, large().rows(), 3);
    host_picture = to_floats(random.matrix(small().rows(), kColumns));
  }

  Grid small() const { return {kSamples, 2, tokens}; }
  Grid large() const { return resampled(small(), Resampling::up); }

  /// Every operation of the seam; what they made is appended to `result`.
  void run(Stream& stream, const Weights& weights, std::vector<float>& result) {
    stream.upload(host_state.data(), kSamples, tokens, *state);
    stream.upload(host_ids.data(), kSamples, tokens, *ids);
    stream.run(SelectRows{.state = *state,
                          .turns = *turns,
                          .masked_after = *masked_after,
                          .row_offsets = *row_offsets,
                          .logits_offsets = *logits_offsets,
                          .samples = kSamples,
                          .branches = kBranches,
                          .tokens = tokens,
                          .refresh = false,
                          .all_logits = false,
                          .rows = *row_list,
                          .logits_rows = *logits_list});
    const Rows active{.index = *row_list,
                      .offsets = *row_offsets,
                      .branches = kBranches,
                      .positions = tokens + 1,
                      .count = rows,
                      .most = tokens + 1};
    stream.run(Embed{.table = *weights.table,
                     .positions = *places,
                     .ids = *ids,
                     .first_ids = *first_ids,
                     .samples = kSamples,
                     .rows = active,
                     .norm = &norm.norm,
                     .columns = kColumns,
                     .x = *x});
    const Input normed{*x, &norm.norm};
    stream.run(ProjectQkv{.query = *weights.query,
                          .key = *weights.key,
                          .value = *weights.value,
                          .heads = heads,
                          .head_dim = kHeadDim,
                          .in = kColumns,
                          .x = normed,
                          .rows = active,
                          .layer = 0,
                          .cache = *cache,
                          .q = *q});
    stream.run(Attention{
        .q = *q, .rows = active, .layer = 0, .cache = *cache, .heads = heads, .head_dim = kHeadDim, .out = *mixed});
    stream.run(Matmul{.layer = *weights.output,
                      .out = kColumns,
                      .in = heads * kHeadDim,
                      .x = {*mixed},
                      .rows = rows,
                      .residual = &normed,
                      .y = *x});
    const BranchVectors weight{.values = *vectors, .first = kColumns}, shift{.values = *vectors, .first = 0};
    stream.run(ModulatedNorm{.x = *x,
                             .kind = NormKind::rms_norm,
                             .epsilon = 1e-5f,
                             .weight = weight,
                             .shift = shift,
                             .rows = active,
                             .columns = kColumns,
                             .y = *x});
    stream.run(Matmul{.layer = *weights.up,
                      .out = hidden,
                      .in = kColumns,
                      .x = normed,
                      .rows = rows,
                      .activation = Activation::gelu,
                      .y = *mlp});
    stream.run(Matmul{
        .layer = *weights.up, .out = hidden, .in = kColumns, .x = normed, .rows = rows, .multiplies = true, .y = *mlp});
    const Input residual{*x};
    const BranchScale scale{.scale = weight, .rows = active};
    stream.run(Matmul{.layer = *weights.down,
                      .out = kColumns,
                      .in = hidden,
                      .x = {*mlp},
                      .rows = rows,
                      .residual = &residual,
                      .residual_scale = &scale,
                      .y = *x});
    const Input last = stream.run(Normalize{.x = *x, .norm = norm.norm, .rows = rows, .columns = kColumns, .y = *x});
    stream.run(Gather{.x = last, .index = *logits_list, .count = logits_rows, .columns = kColumns, .y = *gathered});
    stream.run(Matmul{.layer = *weights.lm_head,
                      .out = codebook,
                      .in = kColumns,
                      .x = {*gathered, &norm.norm},
                      .rows = logits_rows,
                      .y = *logits});
    stream.run(ArgMax{.x = *logits, .rows = logits_rows, .columns = codebook, .index = *largest});
    stream.run(Sample{.logits = *logits,
                      .rows = active,
                      .logits_rows = *logits_list,
                      .logits_offsets = *logits_offsets,
                      .logits_count = logits_rows,
                      .state = *state,
                      .noise_keys = *noise_keys,
                      .settings = *settings,
                      .samples = kSamples,
                      .codebook_size = codebook,
                      .guided = true,
                      .tokens = *drawn,
                      .confidence = *confidence,
                      .faults = *faults});
    stream.run(Reveal{.tokens = *drawn,
                      .confidence = *confidence,
                      .masked_after = *masked_after,
                      .samples = kSamples,
                      .token_count = tokens,
                      .ids = *ids,
                      .state = *state});
    stream.run(RevealGiven{.tokens = *given, .samples = kSamples, .token_count = tokens, .ids = *ids, .state = *state});
    stream.run(Lookup{.table = *weights.table,
                      .ids = *largest,
                      .positions = places.get(),
                      .rows = logits_rows,
                      .sequence = tokens + 1,
                      .columns = kColumns,
                      .y = *looked_up});

    stream.upload(host_picture.data(), small().rows(), kColumns, *halved);
    stream.run(Convolution{.layer = *weights.enlarging,
                           .out = kColumns,
                           .in = kColumns,
                           .x = *halved,
                           .grid = small(),
                           .resampling = Resampling::up,
                           .y = *picture});
    stream.run(GroupStatistics{.x = *picture,
                               .grid = large(),
                               .channels = kColumns,
                               .groups = 5,
                               .norm = norm.norm,
                               .scale_shift = *scale_shift});
    stream.run(Convolution{.layer = *weights.colours,
                           .out = 3,
                           .in = kColumns,
                           .x = *picture,
                           .grid = large(),
                           .scale_shift = scale_shift.get(),
                           .y = *painted});
    stream.run(Rescale{.x = *picture,
                       .scale_shift = *scale_shift,
                       .grid = large(),
                       .channels = kColumns,
                       .silu = true,
                       .y = *picture});
    stream.run(MeanPool{.x = *picture, .grid = large(), .channels = kColumns, .y = *halved});

    const auto append = [&](const Buffer& buffer, int rows, int columns, auto type) {
      std::vector<decltype(type)> values(static_cast<size_t>(rows) * columns);
      stream.download(buffer, rows, columns, values.data());
      result.insert(result.end(), values.begin(), values.end());
    };
    append(*x, rows, kColumns, float{});
    append(*logits, logits_rows, codebook, float{});
    append(*looked_up, logits_rows, kColumns, float{});
    append(*painted, large().rows(), 3, float{});
    append(*halved, small().rows(), kColumns, float{});
    append(*ids, kSamples, tokens, int32_t{});
    append(*state, kSamples, tokens, uint8_t{});
  }

  int tokens, heads, hidden, codebook, rows, logits_rows;
  std::vector<uint8_t> host_state;
  std::vector<int32_t> host_ids, host_given;
  std::vector<float> host_picture;
  reference::SelectedRows selected;
  Random norm_random;
  RandomNorm norm;
  std::unique_ptr<Buffer> state, turns, ids, given, first_ids, row_offsets, logits_offsets, row_list, logits_list,
      places, x, vectors, q, mixed, mlp, gathered, logits, noise_keys, settings, drawn, confidence, faults,
      masked_after, largest, looked_up, picture, halved, scale_shift, painted;
  std::unique_ptr<KvCache> cache;
};

/// Calls `body` with memory that ends after 0 allocations, after 1, and so on until there is enough; after each `then`,
/// with whether `body` threw: it need not where it can do with less memory.
template <class Body, class Then>
void fail_in_turn(const std::string& what, const Body& body, const Then& then) {
  for (const Memory memory : {Memory::scarce, Memory::gone}) {
    bool failed = true;
    int allocations = 0;
    for (; failed; ++allocations) {
      bool threw = true, out_of_memory = true;
      {
        const FailingAllocations failing(allocations, memory);
        try {
          body();
          threw = false;
        } catch (const Error& error) {
          out_of_memory = error.code == "ERR_OUT_OF_MEMORY";
        } catch (const std::bad_alloc&) {
        }
        failed = failing.failed();
      }
      check(out_of_memory, what + ": failed with another code");
      then(threw);
    }
    check(allocations > 20, what + ": nothing failed");
  }
}

void operations(Backend& backend, WeightFormat format) {
  const Weights weights(backend, format);
  std::unique_ptr<Stream> stream = backend.stream();
  std::vector<std::unique_ptr<Pass>> passes;
  for (const auto& [tokens, heads, hidden, codebook] : {std::tuple{5, 1, 20, 50}, {40, 2, 40, 300}, {90, 3, 70, 600}}) {
    passes.push_back(std::make_unique<Pass>(backend, *stream, tokens, heads, hidden, codebook));
  }
  std::vector<float> result, expected;
  const auto run_all = [&] {
    result.clear();
    for (const auto& pass : passes) pass->run(*stream, weights, result);
  };
  run_all();
  expected = result;
  const Flops flops = stream->flops();

  stream = backend.stream();  // whose scratch is empty
  fail_in_turn("operations", run_all, [&](bool threw) {
    check(threw || result == expected, "other bits with less memory");
    stream->clear_flops();
    run_all();
    check(result == expected, "other bits after a failure");
    check(stream->flops() == flops, "other FLOPs after a failure");
    stream = backend.stream();
  });
}

/// What a backend makes: whole, or not at all.
void objects(Backend& backend, WeightFormat format) {
  std::vector<float> result, expected;
  const auto make_and_run = [&] {
    const Weights weights(backend, format);
    auto stream = backend.stream();
    Pass pass(backend, *stream, 7, 2, 30, 100);
    result.clear();
    pass.run(*stream, weights, result);
  };
  make_and_run();
  expected = result;
  fail_in_turn("objects", make_and_run, [&](bool threw) {
    check(threw || result == expected, "other bits with less memory");
    make_and_run();
    check(result == expected, "other bits after a failure");
  });
}

#ifdef __linux__
/// Counted page by page: what /proc/self/statm says may be off by some pages for each processor.
int64_t resident_bytes() {
  std::ifstream file("/proc/self/smaps_rollup");
  for (std::string word; file >> word;) {
    int64_t kilobytes = 0;
    if (word == "Rss:" && file >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

/// What a cache holds of a branch that nobody reads any more goes back to the system, and the others stay as they are.
void a_discarded_branch_goes_back() {
  constexpr int kLayers = 3, kHeads = 8, kDim = 64, kPositions = 257;
  cpu::CpuKvCache cache(kLayers, kBranches, kHeads, kDim, kPositions);
  const size_t keys = cache.keys(0, 0, 1) - cache.keys(0, 0, 0), values = cache.values(0, 0, 1) - cache.values(0, 0, 0);
  const auto floats_of = [&](int layer, int branch) {
    return std::vector{std::span(cache.keys(layer, branch, 0), kHeads * keys),
                       std::span(cache.values(layer, branch, 0), kHeads * values)};
  };
  const auto fill = [&](int branch) {
    for (int layer = 0; layer < kLayers; ++layer) {
      for (const std::span<float> floats : floats_of(layer, branch)) std::ranges::fill(floats, branch + 1.0f);
    }
  };
  for (int branch = 0; branch < kBranches; ++branch) fill(branch);
  const int64_t before = resident_bytes(), expected = kLayers * kHeads * (keys + values) * sizeof(float);
  cache.discard_branch(1);
  const int64_t freed = before - resident_bytes();
  check(freed > expected * 3 / 4 && freed < expected * 5 / 4, std::to_string(freed) + " bytes went back");
  for (int layer = 0; layer < kLayers; ++layer) {
    for (int branch = 0; branch < kBranches; ++branch) {
      for (const std::span<float> floats : floats_of(layer, branch)) {
        const bool kept = std::ranges::all_of(floats, [&](float value) { return value == branch + 1.0f; });
        check(kept || branch == 1, "branch " + std::to_string(branch) + " has changed");
      }
    }
  }
}
#endif

}  // namespace

int main() {
#ifdef __linux__
  a_discarded_branch_goes_back();
#endif
  for (const int threads : {1, 3}) {
    auto backend = cpu::open_cpu(threads, "");
    using Values = WeightFormat::Values;
    for (const Values values : {Values::f32, Values::bf16, Values::int8}) {
      operations(*backend, {values});
      objects(*backend, {values});
    }
  }
  return report("memory");
}
