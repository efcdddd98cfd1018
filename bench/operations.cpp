// bench_operations [cpu|cuda:N] [--threads N] [--quick]: the operations of a generation one by one, at the sizes of
// preset L (d 1024, 16 heads of 64, MLP 4096, 257 positions), every width, for the rows of batches of 1 and on a GPU 8
// and 64 with guidance; on a GPU the attention of video-L (1025 positions); then those of a convolutional codec, at the
// sizes of MaskGIT's decoder for a picture of 256 x 256. A sample is the time of one call; on a GPU of many that follow
// each other in one recording, each with the weights and the cache of another layer: no cache has these from the call
// before.
//
// Beside them, in the same run, what bounds them: the rate of multiply-adds of the device at its best
// (Backend::measure_peak) and, of the CPU, the bandwidth of its memory. Prints JSON for bench/operations.js, which
// makes a table and a result file of it. --quick measures one width once.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "../native/cpu/cpu_backend.h"
#ifdef MAGNETS_HAS_CUDA
#include "../native/cuda/library.h"

extern "C" const magnets::cuda::Library magnets_cuda_library;
#endif

using namespace magnets;

namespace {

constexpr int kHiddenSize = 1024, kHeads = 16, kHeadDim = 64, kIntermediateSize = 4096, kVocabulary = 2025;

/// Active rows of a sequence in the steps of each width, the first of them all its positions: those of the schedule
/// `paper` in 12 steps (lib/plan).
struct Width {
  int heads;
  int rows[3];
};
constexpr Width kWidths[] = {{2, {257, 256, 253}}, {4, {257, 236, 221}}, {8, {257, 181, 155}}, {16, {257, 97, 66}}};
constexpr Width kVideoWidths[] = {
    {2, {1025, 1024, 1015}}, {4, {1025, 946, 886}}, {8, {1025, 724, 623}}, {16, {1025, 391, 265}}};

struct Layer {
  std::unique_ptr<Linear> query, key, value, output, up, down;
  std::unique_ptr<Linear> words;  // of the LM head
};

struct Bench {
  Backend& backend;
  WeightFormat format;
  bool on_cpu;  // a call is long enough by itself
  bool quick;
  size_t element_size;  // of weights and activations
  const char* separator = "";
  std::vector<Layer> layers = {};
  int recordings = 0;

  int calls() const { return on_cpu ? 1 : 24; }

  /// call(i) with the weights of layer i.
  std::vector<double> time(Stream& stream, const std::function<void(int)>& call) {
    const int repeats = quick ? 1 : on_cpu ? 5 : 15, warm_up = quick ? 1 : 2;
    StepShape own{};
    own.rows = ++recordings;  // a recording of its own
    std::vector<double> samples;
    for (int i = -warm_up; i < repeats; ++i) {
      const auto started = std::chrono::steady_clock::now();
      stream.replay(own, [&](const StepShape&) {
        for (int j = 0; j < calls(); ++j) call(j);
      });
      stream.synchronize();
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
      if (i >= 0) samples.push_back(elapsed.count() / calls());
    }
    return samples;
  }

  struct Row {
    const char* name;
    int batch, heads;
    std::string shape;
    uint64_t flops;
    uint64_t numbers;  // read or written at least once: weights and activations
    std::vector<double> samples;
  };
  void print(const Row& row) {
    std::printf("%s\n    {\"name\": \"%s\", \"batch\": %d, \"heads\": %d, \"shape\": \"%s\", ", separator, row.name,
                row.batch, row.heads, row.shape.c_str());
    if (row.flops > 0) std::printf("\"flops\": %llu, ", static_cast<unsigned long long>(row.flops));
    std::printf("\"bytes\": %llu, \"samples\": [", static_cast<unsigned long long>(row.numbers * element_size));
    for (size_t i = 0; i < row.samples.size(); ++i) std::printf("%s%.9g", i == 0 ? "" : ", ", row.samples[i]);
    std::printf("]}");
    std::fflush(stdout);
    separator = ",";
  }
};

/// Bytes that go through the CPU per second where every thread copies memory that no cache holds: read and written.
double bandwidth(int threads) {
  constexpr size_t kBytes = 64 << 20;
  std::vector<std::vector<char>> from(threads, std::vector<char>(kBytes, 1)), to = from;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto started = std::chrono::steady_clock::now();
    std::vector<std::thread> running;
    for (int thread = 0; thread < threads; ++thread) {
      running.emplace_back([&, thread] { std::memcpy(to[thread].data(), from[thread].data(), kBytes); });
    }
    for (auto& thread : running) thread.join();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
    best = std::max(best, 2.0 * kBytes * threads / elapsed.count());
  }
  return best;
}

std::vector<float> noise(size_t size) {
  std::vector<float> values(size);
  uint32_t random = 1;
  for (float& value : values) {
    random = random * 1664525 + 1013904223;
    value = static_cast<float>(random >> 8) * 0x1p-24f - 0.5f;
  }
  return values;
}

std::vector<Layer> make_layers(Backend& backend, WeightFormat format, int count) {
  const int inner = kHeads * kHeadDim;
  const auto values = noise(static_cast<size_t>(kIntermediateSize) * kHiddenSize);
  const std::vector<float> bias(kIntermediateSize);
  const auto linear = [&](int out, int in, HeadDims heads = {}) {
    return backend.linear({values.data(), DType::f32, out, in}, bias.data(), format, heads);
  };
  std::vector<Layer> layers(count);
  for (Layer& layer : layers) {
    for (auto* projection : {&layer.query, &layer.key, &layer.value}) {
      *projection = linear(inner, kHiddenSize, {.out = kHeadDim});
    }
    layer.output = linear(kHiddenSize, inner, {.in = kHeadDim});
    layer.up = linear(kIntermediateSize, kHiddenSize);
    layer.down = linear(kHiddenSize, kIntermediateSize);
    layer.words = linear(kVocabulary, kHiddenSize);
  }
  return layers;
}

void products(Bench& bench, int batch, int heads, int rows) {
  const int inner = heads * kHeadDim, hidden = kIntermediateSize * heads / kHeads;
  struct Product {
    const char* name;
    std::unique_ptr<Linear> Layer::*layer;
    int out, in;
    Activation activation;
    bool residual;
    ElementType type;
  };
  const Product all[] = {
      {"output", &Layer::output, kHiddenSize, inner, Activation::none, true, ElementType::activation},
      {"up", &Layer::up, hidden, kHiddenSize, Activation::gelu_tanh, false, ElementType::activation},
      {"up_without_gelu", &Layer::up, hidden, kHiddenSize, Activation::none, false, ElementType::activation},
      {"down", &Layer::down, kHiddenSize, hidden, Activation::none, true, ElementType::activation},
      {"lm_head", &Layer::words, kVocabulary, kHiddenSize, Activation::none, false, ElementType::f32},
  };
  for (const Product& p : all) {
    auto stream = bench.backend.stream();
    const auto x = bench.backend.allocate(ElementType::activation, rows, p.in);
    const auto y = bench.backend.allocate(p.type, rows, p.out);
    stream->upload(noise(static_cast<size_t>(rows) * p.in).data(), rows, p.in, *x);
    const Input residual{*y};
    const auto product = [&](int layer) {
      return Matmul{.layer = *(bench.layers[layer].*p.layer),
                    .out = p.out,
                    .in = p.in,
                    .x = {*x},
                    .rows = rows,
                    .activation = p.activation,
                    .residual = p.residual ? &residual : nullptr,
                    .y = *y};
    };
    bench.print({.name = p.name,
                 .batch = batch,
                 .heads = heads,
                 .shape = std::to_string(rows) + " x " + std::to_string(p.out) + " x " + std::to_string(p.in),
                 .flops = flops_of(product(0)),
                 .numbers = static_cast<uint64_t>(p.out) * p.in + static_cast<uint64_t>(rows) * (p.in + p.out),
                 .samples = bench.time(*stream, [&](int layer) { stream->run(product(layer)); })});
  }
}

void attention(Bench& bench, int batch, const Width& width) {
  const int heads = width.heads, branches = 2 * batch, inner = heads * kHeadDim, positions = width.rows[0];
  auto stream = bench.backend.stream();
  const auto cache = bench.backend.kv_cache(bench.calls(), branches, kHeads, kHeadDim, positions);
  const int all_rows = branches * positions;
  const auto x = bench.backend.allocate(ElementType::activation, all_rows, kHiddenSize);
  const auto q = bench.backend.allocate_heads(all_rows, heads, kHeadDim);
  const auto out = bench.backend.allocate_heads(all_rows, heads, kHeadDim);
  stream->upload(noise(static_cast<size_t>(all_rows) * kHiddenSize).data(), all_rows, kHiddenSize, *x);
  for (const int own : width.rows) {  // the first fills the cache
    std::vector<int32_t> index, offsets = {0};
    for (int branch = 0; branch < branches; ++branch) {
      for (int i = 0; i < own; ++i) index.push_back(branch * positions + i);
      offsets.push_back(static_cast<int32_t>(index.size()));
    }
    const int count = offsets.back();
    const auto index_buffer = upload_new(bench.backend, *stream, ElementType::i32, 1, count, index);
    const auto offsets_buffer = upload_new(bench.backend, *stream, ElementType::i32, 1, branches + 1, offsets);
    const Rows rows{.index = *index_buffer,
                    .offsets = *offsets_buffer,
                    .branches = branches,
                    .positions = positions,
                    .count = count,
                    .most = own};
    const auto project = [&](int layer) {
      const Layer& weights = bench.layers[layer];
      return ProjectQkv{.query = *weights.query,
                        .key = *weights.key,
                        .value = *weights.value,
                        .heads = heads,
                        .head_dim = kHeadDim,
                        .in = kHiddenSize,
                        .x = {*x},
                        .rows = rows,
                        .layer = layer,
                        .cache = *cache,
                        .q = *q};
    };
    const auto attend = [&](int layer) {
      return Attention{
          .q = *q, .rows = rows, .layer = layer, .cache = *cache, .heads = heads, .head_dim = kHeadDim, .out = *out};
    };
    const std::string shape = std::to_string(branches) + " x " + std::to_string(own) + " rows";
    bench.print(
        {.name = "qkv",
         .batch = batch,
         .heads = heads,
         .shape = shape,
         .flops = flops_of(project(0)),
         .numbers = uint64_t{3} * inner * kHiddenSize + static_cast<uint64_t>(count) * (kHiddenSize + 3 * inner),
         .samples = bench.time(*stream, [&](int layer) { stream->run(project(layer)); })});
    bench.print({.name = "attention",
                 .batch = batch,
                 .heads = heads,
                 .shape = shape + ", " + std::to_string(positions) + " keys",
                 .flops = flops_of(attend(0)),
                 .numbers = uint64_t{2} * inner * (count + all_rows),
                 .samples = bench.time(*stream, [&](int layer) { stream->run(attend(layer)); })});
  }
}

void norm(Bench& bench, int batch, int rows) {
  auto stream = bench.backend.stream();
  const std::vector<float> ones(kHiddenSize, 1.0f);
  const auto vector = [&] { return upload_new(bench.backend, *stream, ElementType::f32, 1, kHiddenSize, ones); };
  const Norm norm{vector(), vector(), 1e-6f};
  const auto x = bench.backend.allocate(ElementType::activation, rows, kHiddenSize);
  const auto y = bench.backend.allocate(ElementType::activation, rows, kHiddenSize);
  stream->upload(noise(static_cast<size_t>(rows) * kHiddenSize).data(), rows, kHiddenSize, *x);
  const Normalize normalize{.x = *x, .norm = norm, .rows = rows, .columns = kHiddenSize, .y = *y};
  bench.print({.name = "norm",
               .batch = batch,
               .heads = kHeads,
               .shape = std::to_string(rows) + " x " + std::to_string(kHiddenSize),
               .flops = 0,
               .numbers = uint64_t{2} * rows * kHiddenSize,
               .samples = bench.time(*stream, [&](int) { stream->run(normalize); })});
}

/// Convolutions, those of the residual blocks under their norm, but without its statistics.
void convolutions(Bench& bench, int batch) {
  struct Layer {
    int side, out, in;
    Resampling resampling;
    bool norm;
  };
  const Layer all[] = {
      {256, 128, 128, Resampling::none, true}, {128, 128, 128, Resampling::up, false},
      {64, 256, 256, Resampling::none, true},  {16, 512, 512, Resampling::none, true},
      {256, 3, 128, Resampling::none, true},   {256, 128, 128, Resampling::down, false},
  };
  for (const Layer& l : all) {
    auto stream = bench.backend.stream();
    const Grid grid{batch, l.side, l.side}, target = resampled(grid, l.resampling);
    const int in = layer_taps_of(l.resampling) * l.in;
    const auto weights = noise(static_cast<size_t>(l.out) * in);
    const auto layer = bench.backend.linear({weights.data(), DType::f32, l.out, in}, nullptr, bench.format);
    const std::vector<float> ones(l.in, 1.0f);
    const Norm norm{upload_new(bench.backend, *stream, ElementType::f32, 1, l.in, ones),
                    upload_new(bench.backend, *stream, ElementType::f32, 1, l.in, ones), 1e-6f};
    const auto x = bench.backend.allocate(ElementType::activation, grid.rows(), l.in);
    const auto y = bench.backend.allocate(ElementType::activation, target.rows(), l.out);
    const auto scale_shift = bench.backend.allocate(ElementType::f32, batch, 2 * l.in);
    stream->upload(noise(static_cast<size_t>(grid.rows()) * l.in).data(), grid.rows(), l.in, *x);
    stream->run(GroupStatistics{
        .x = *x, .grid = grid, .channels = l.in, .groups = 32, .norm = norm, .scale_shift = *scale_shift});
    const Convolution convolution{.layer = *layer,
                                  .out = l.out,
                                  .in = l.in,
                                  .x = *x,
                                  .grid = grid,
                                  .scale_shift = l.norm ? scale_shift.get() : nullptr,
                                  .resampling = l.resampling,
                                  .y = *y};
    const char* names[] = {"conv", "conv_up", "conv_down"};
    const std::string size = std::to_string(l.side);
    const std::string shape = size + " x " + size + " x " + std::to_string(l.in) + " to " + std::to_string(l.out);
    bench.print({.name = names[static_cast<int>(l.resampling)],
                 .batch = batch,
                 .heads = kHeads,
                 .shape = shape,
                 .flops = flops_of(convolution),
                 .numbers = static_cast<uint64_t>(l.out) * in + static_cast<uint64_t>(grid.rows()) * l.in +
                            static_cast<uint64_t>(target.rows()) * l.out,
                 .samples = bench.time(*stream, [&](int) { stream->run(convolution); })});
  }
}

std::unique_ptr<Backend> open(const std::string& name, int threads) {
  if (name == "cpu") {
    const char* set = std::getenv("MAGNETS_ISA");
    return cpu::open_cpu(threads, set != nullptr ? set : "");
  }
#ifdef MAGNETS_HAS_CUDA
  if (name.rfind("cuda", 0) == 0) {
    return std::unique_ptr<Backend>(
        magnets_cuda_library.open(name.size() > 5 ? std::stoi(name.substr(5)) : 0, ComputeType::bf16, {}));
  }
#endif
  throw Error("ERR_UNSUPPORTED",
              "Expected cpu, or cuda:N where it was built with CUDA, for the device but received " + name);
}

}  // namespace

int main(int count, char** arguments) {
  std::string device = "cpu";
  int threads = 2;
  bool quick = false;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "--threads") == 0 && i + 1 < count) {
      threads = std::atoi(arguments[++i]);
    } else if (std::strcmp(arguments[i], "--quick") == 0) {
      quick = true;
    } else {
      device = arguments[i];
    }
  }
  try {
    const auto backend = open(device, threads);
    const bool on_cpu = device == "cpu";
    const WeightFormat format{on_cpu ? WeightFormat::Values::f32 : WeightFormat::Values::bf16};
    Bench bench{*backend, format, on_cpu, quick, on_cpu ? sizeof(float) : sizeof(uint16_t)};
    std::printf("{\n  \"backend\": \"%s\", \"compute\": \"%s\",\n  \"rows\": [", backend->name().c_str(),
                on_cpu ? "f32" : "bf16");
    // On a CPU again after every width: its clock follows what it did before, and the bound is what it reaches at best.
    double peak = 0, bytes = 0;
    const auto measure_bounds = [&] {
      peak = std::max(peak, backend->measure_peak());
      if (on_cpu) bytes = std::max(bytes, bandwidth(backend->threads()));
    };
    measure_bounds();
    bench.layers = make_layers(*backend, format, bench.calls());
    for (const int batch : on_cpu ? std::vector{1} : std::vector{1, 8, 64}) {
      for (const Width& width : kWidths) {
        if (quick && width.heads != kWidths[0].heads) continue;
        for (const int rows : width.rows) products(bench, batch, width.heads, 2 * batch * rows);
        attention(bench, batch, width);
        if (on_cpu) measure_bounds();
      }
      norm(bench, batch, 2 * batch * kWidths[0].rows[0]);
    }
    for (const int batch : on_cpu ? std::vector<int>{} : std::vector{1, 8}) {
      for (const Width& width : kVideoWidths) attention(bench, batch, width);
    }
    if (!quick) {
      for (const int batch : on_cpu ? std::vector{1} : std::vector{1, 8}) convolutions(bench, batch);
    }
    std::printf("\n  ],\n  \"peakFlopsPerSecond\": %.6g", peak);
    if (on_cpu) std::printf(", \"threads\": %d, \"bytesPerSecond\": %.6g", backend->threads(), bytes);
    std::printf("\n}\n");
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code.c_str(), error.what());
    return 1;
  }
}
