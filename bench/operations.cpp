// bench_operations [cpu|cuda:N] [--json FILE] [--commit COMMIT]: the operations of a generation one by one, at the
// sizes of preset L (d 1024, 16 heads of 64, MLP 4096, 257 positions), every width, for the rows of batches of 1, 8 and
// 64 with guidance; then those of a convolutional codec, at the sizes of MaskGIT's decoder for a picture of 256 x 256.
// Beside each the rate of the device at its best (Backend::measure_peak). A sample is the time of one call of many that
// follow each other, where a device records in one recording, each with the weights and the cache of another layer: no
// cache has these from the call before. FILE gets the schema of bench/README.md.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <functional>
#include <numeric>
#include <sstream>
#include <string>
#include <vector>

#include "../native/cpu/cpu_backend.h"
#ifdef MAGNETS_HAS_CUDA
#include "../native/cuda/library.h"

extern "C" const magnets::cuda::Library magnets_cuda_library;
#endif

using namespace magnets;

namespace {

constexpr int kHiddenSize = 1024, kHeads = 16, kHeadDim = 64, kIntermediateSize = 4096, kPositions = 257,
              kVocabulary = 2025;

/// Active rows of a sequence in the steps of each width: those of the schedule `paper` in 12 steps (lib/plan).
struct Width {
  int heads;
  int rows[3];
};
constexpr Width kWidths[] = {{2, {257, 256, 253}}, {4, {257, 236, 221}}, {8, {257, 181, 155}}, {16, {257, 97, 66}}};

struct Row {
  std::string name;
  int batch, heads;
  std::string shape;
  uint64_t flops;
  std::vector<double> samples;  // seconds, in the order of the runs

  double median() const {
    std::vector<double> sorted = samples;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

struct Layer {
  std::unique_ptr<Linear> query, key, value, output, up, down;
  std::unique_ptr<Linear> words;  // of the LM head
};

struct Bench {
  Backend& backend;
  WeightFormat format;
  bool quick;  // the CPU: fewer rows, fewer calls
  double peak;
  std::vector<Row> rows;
  std::vector<Layer> layers;
  int recordings = 0;

  int calls() const { return quick ? 1 : 24; }

  /// call(i) with the weights of layer i.
  std::vector<double> time(Stream& stream, const std::function<void(int)>& call) {
    const int repeats = quick ? 3 : 15, warm_up = 2;
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

  void add(Row row) {
    const double rate = static_cast<double>(row.flops) / row.median();
    std::printf("%-10s batch %-3d width %2d/16  %-22s %10.2f us  %8.2f TFLOP/s  %5.1f %% of the best\n",
                row.name.c_str(), row.batch, row.heads, row.shape.c_str(), row.median() * 1e6, rate / 1e12,
                100 * rate / peak);
    rows.push_back(std::move(row));
  }
};

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
    bench.add({.name = p.name,
               .batch = batch,
               .heads = heads,
               .shape = std::to_string(rows) + " x " + std::to_string(p.out) + " x " + std::to_string(p.in),
               .flops = flops_of(product(0)),
               .samples = bench.time(*stream, [&](int layer) { stream->run(product(layer)); })});
  }
}

void attention(Bench& bench, int batch, const Width& width) {
  const int heads = width.heads;
  const int branches = 2 * batch;
  auto stream = bench.backend.stream();
  const auto cache = bench.backend.kv_cache(bench.calls(), branches, kHeads, kHeadDim, kPositions);
  const int all_rows = branches * kPositions;
  const auto x = bench.backend.allocate(ElementType::activation, all_rows, kHiddenSize);
  const auto q = bench.backend.allocate_heads(all_rows, heads, kHeadDim);
  const auto out = bench.backend.allocate_heads(all_rows, heads, kHeadDim);
  stream->upload(noise(static_cast<size_t>(all_rows) * kHiddenSize).data(), all_rows, kHiddenSize, *x);
  for (const int own : width.rows) {  // the first fills the cache
    std::vector<int32_t> index, offsets = {0};
    for (int branch = 0; branch < branches; ++branch) {
      for (int i = 0; i < own; ++i) index.push_back(branch * kPositions + i);
      offsets.push_back(static_cast<int32_t>(index.size()));
    }
    const int count = offsets.back();
    const auto index_buffer = upload_new(bench.backend, *stream, ElementType::i32, 1, count, index);
    const auto offsets_buffer = upload_new(bench.backend, *stream, ElementType::i32, 1, branches + 1, offsets);
    const Rows rows{.index = *index_buffer,
                    .offsets = *offsets_buffer,
                    .branches = branches,
                    .positions = kPositions,
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
    bench.add({.name = "qkv",
               .batch = batch,
               .heads = heads,
               .shape = shape,
               .flops = flops_of(project(0)),
               .samples = bench.time(*stream, [&](int layer) { stream->run(project(layer)); })});
    bench.add({.name = "attention",
               .batch = batch,
               .heads = heads,
               .shape = shape,
               .flops = flops_of(attend(0)),
               .samples = bench.time(*stream, [&](int layer) { stream->run(attend(layer)); })});
  }
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
    bench.add({.name = names[static_cast<int>(l.resampling)],
               .batch = batch,
               .heads = kHeads,
               .shape = shape,
               .flops = flops_of(convolution),
               .samples = bench.time(*stream, [&](int) { stream->run(convolution); })});
  }
}

/// What is measured: a backend, and what result files say of the device.
struct Subject {
  std::unique_ptr<Backend> backend;
  WeightFormat format;
  const char* compute;
  std::string device;  // members of a JSON object, each with a comma behind it
};

Subject open(const std::string& name) {
  if (name == "cpu") {
    auto backend = cpu::open_cpu(2, "");
    std::string device = "\"threads\": " + std::to_string(backend->threads()) + ", ";
    return {std::move(backend), {WeightFormat::Values::f32}, "f32", std::move(device)};
  }
#ifdef MAGNETS_HAS_CUDA
  if (name.rfind("cuda", 0) == 0) {
    const int index = name.size() > 5 ? std::stoi(name.substr(5)) : 0;
    std::unique_ptr<Backend> backend(magnets_cuda_library.open(index, ComputeType::bf16, {}));
    std::string device = std::string("\"name\": \"") + magnets_cuda_library.describe(index).name + "\", ";
    return {std::move(backend), {WeightFormat::Values::bf16}, "bf16", std::move(device)};
  }
#endif
  throw Error("ERR_UNSUPPORTED",
              "Expected cpu, or cuda:N where it was built with CUDA, for the device but received " + name);
}

/// `commit` empty: left out.
std::string json_of(const Subject& subject, const Bench& bench, const std::string& commit, const std::string& command) {
  char date[16];
  const std::time_t now = std::time(nullptr);
  std::strftime(date, sizeof date, "%Y-%m-%d", std::gmtime(&now));
  std::ostringstream json;
  json << "{\n  \"device\": {" << subject.device << "\"backend\": \"" << bench.backend.name()
       << "\", \"peakFlopsPerSecond\": " << bench.peak << "},\n";
  if (!commit.empty()) json << "  \"commit\": \"" << commit << "\",\n";
  json << "  \"command\": \"" << command << "\",\n  \"date\": \"" << date << "\",\n  \"compute\": \"" << subject.compute
       << "\",\n  \"rows\": [";
  for (size_t i = 0; i < bench.rows.size(); ++i) {
    const Row& row = bench.rows[i];
    json << (i == 0 ? "" : ",") << "\n    {\"name\": \"" << row.name << "\", \"batch\": " << row.batch
         << ", \"heads\": " << row.heads << ", \"shape\": \"" << row.shape << "\", \"flops\": " << row.flops
         << ", \"samples\": [";
    for (size_t j = 0; j < row.samples.size(); ++j) json << (j == 0 ? "" : ", ") << row.samples[j];
    const auto [min, max] = std::minmax_element(row.samples.begin(), row.samples.end());
    json << "], \"median\": " << row.median() << ", \"min\": " << *min << ", \"max\": " << *max << "}";
  }
  json << "\n  ]\n}\n";
  return json.str();
}

}  // namespace

int main(int count, char** arguments) {
  std::string device = "cpu", file, commit, command = "bench_operations";
  for (int i = 1; i < count; ++i) {
    const bool has_value = i + 1 < count;
    if (std::strcmp(arguments[i], "--json") == 0 && has_value) {
      file = arguments[++i];
    } else if (std::strcmp(arguments[i], "--commit") == 0 && has_value) {
      commit = arguments[++i];
    } else {
      device = arguments[i];
    }
  }
  for (int i = 1; i < count; ++i) command += std::string(" ") + arguments[i];
  try {
    const Subject subject = open(device);
    const bool quick = device == "cpu";
    Bench bench{*subject.backend, subject.format, quick, subject.backend->measure_peak(), {}, {}};
    bench.layers = make_layers(*subject.backend, subject.format, bench.calls());
    std::printf("%s: at its best %.2f TFLOP/s\n", bench.backend.name().c_str(), bench.peak / 1e12);
    for (const int batch : quick ? std::vector{1} : std::vector{1, 8, 64}) {
      for (const Width& width : kWidths) {
        for (const int rows : width.rows) products(bench, batch, width.heads, 2 * batch * rows);
        attention(bench, batch, width);
      }
    }
    for (const int batch : quick ? std::vector{1} : std::vector{1, 8}) convolutions(bench, batch);
    if (!file.empty()) std::ofstream(file) << json_of(subject, bench, commit, command);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code.c_str(), error.what());
    return 1;
  }
}
