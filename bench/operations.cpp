// bench_operations [cpu|cuda:N] [--json FILE]: the parts of a generation one by one, at the sizes of preset L (d 1024,
// 16 heads of 64, MLP 4096, 257 positions), every width, for the rows of batches of 1 and 64 with guidance. Beside each
// the rate of the device at its best (Backend::measure_peak). Seconds are those of one call of many that follow each
// other.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "../native/cpu/cpu_backend.h"
#ifdef MAGNETS_HAS_CUDA
#include "../native/cuda/cuda_backend.h"
#endif

using namespace magnets;

namespace {

constexpr int kWidth = 1024, kHeads = 16, kHeadDim = 64, kHidden = 4096, kPositions = 257, kVocabulary = 2025;

struct Timing {
  double median, min, max;
};

struct Bench {
  Backend& backend;
  DType dtype;
  bool quick;  // the CPU: fewer rows, fewer calls
  std::ofstream json;
  double peak = 0;
  bool first = true;

  Timing time(Stream& stream, const std::function<void()>& call) {
    const int calls = quick ? 1 : 20, repeats = quick ? 3 : 30;
    std::vector<double> seconds;
    for (int i = -3; i < repeats; ++i) {
      const auto started = std::chrono::steady_clock::now();
      for (int j = 0; j < calls; ++j) call();
      stream.synchronize();
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - started;
      if (i >= 0) seconds.push_back(elapsed.count() / calls);
    }
    std::sort(seconds.begin(), seconds.end());
    return {seconds[seconds.size() / 2], seconds.front(), seconds.back()};
  }

  void report(const std::string& name, int batch, int heads, const std::string& shape, double flops, Timing seconds) {
    const double rate = flops / seconds.median;
    std::printf("%-10s batch %-3d width %2d/16  %-22s %10.2f us  %8.2f TFLOP/s  %5.1f %% of the best\n", name.c_str(),
                batch, heads, shape.c_str(), seconds.median * 1e6, rate / 1e12, 100 * rate / peak);
    if (!json.is_open()) return;
    json << (first ? "" : ",") << "\n  {\"name\": \"" << name << "\", \"batch\": " << batch << ", \"heads\": " << heads
         << ", \"shape\": \"" << shape << "\", \"flops\": " << flops << ", \"seconds\": {\"median\": " << seconds.median
         << ", \"min\": " << seconds.min << ", \"max\": " << seconds.max << "}, \"tflops\": " << rate / 1e12 << "}";
    first = false;
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

void products(Bench& bench, int batch, int heads, int rows) {
  const int inner = heads * kHeadDim, hidden = kHidden * heads / kHeads;
  struct Product {
    const char* name;
    int full_out, full_in, out, in;
    Epilogue epilogue;
    ElementType type;
  };
  const Product all[] = {
      {"output", kWidth, kHeads * kHeadDim, kWidth, inner, Epilogue::add, ElementType::activation},
      {"up", kHidden, kWidth, hidden, kWidth, Epilogue::gelu_tanh, ElementType::activation},
      {"down", kWidth, kHidden, kWidth, hidden, Epilogue::add, ElementType::activation},
      {"words", kVocabulary, kWidth, kVocabulary, kWidth, Epilogue::store, ElementType::f32},
  };
  for (const Product& p : all) {
    auto stream = bench.backend.stream();
    const auto weights = noise(static_cast<size_t>(p.full_out) * p.full_in);
    const std::vector<float> bias(p.full_out);
    const auto layer =
        bench.backend.linear({weights.data(), DType::f32, p.full_out, p.full_in}, bias.data(), bench.dtype);
    const auto x = bench.backend.allocate(ElementType::activation, rows, p.in);
    const auto y = bench.backend.allocate(p.type, rows, p.out);
    stream->upload(noise(static_cast<size_t>(rows) * p.in).data(), rows, p.in, *x);
    const Timing seconds =
        bench.time(*stream, [&] { stream->linear(*layer, p.out, p.in, *x, rows, p.epilogue, Part::mlp, *y); });
    bench.report(p.name, batch, heads,
                 std::to_string(rows) + " x " + std::to_string(p.out) + " x " + std::to_string(p.in),
                 2.0 * rows * p.out * p.in, seconds);
  }
}

void attention(Bench& bench, int batch, int heads, int rows) {
  const int branches = 2 * batch, inner = heads * kHeadDim;
  auto stream = bench.backend.stream();
  const auto weights = noise(static_cast<size_t>(kWidth) * kWidth);
  const auto layer = bench.backend.linear({weights.data(), DType::f32, kWidth, kWidth}, nullptr, bench.dtype);
  const auto cache = bench.backend.kv_cache(1, branches, kHeads, kHeadDim, kPositions);
  const int all_rows = branches * kPositions;
  const auto x = bench.backend.allocate(ElementType::activation, all_rows, kWidth);
  const auto q = bench.backend.allocate(ElementType::activation, all_rows, inner);
  const auto out = bench.backend.allocate(ElementType::activation, all_rows, inner);
  stream->upload(noise(static_cast<size_t>(all_rows) * kWidth).data(), all_rows, kWidth, *x);
  for (const int own : {kPositions, rows}) {  // the first fills the cache
    std::vector<int> index, start = {0};
    for (int branch = 0; branch < branches; ++branch) {
      for (int i = 0; i < own; ++i) index.push_back(branch * kPositions + i);
      start.push_back(static_cast<int>(index.size()));
    }
    const auto places = place(bench.backend, *stream, ElementType::i32, 1, static_cast<int>(index.size()), index);
    const Rows active{*places, start, kPositions};
    const auto project = [&] {
      stream->project_qkv(*layer, *layer, *layer, heads, kHeadDim, kWidth, *x, active, 0, Part::projections, *cache,
                          *q);
    };
    const std::string shape = std::to_string(branches) + " x " + std::to_string(own) + " rows";
    bench.report("qkv", batch, heads, shape, 6.0 * active.count() * inner * kWidth, bench.time(*stream, project));
    const Timing seconds =
        bench.time(*stream, [&] { stream->attention(*q, active, 0, *cache, heads, kHeadDim, Part::attention, *out); });
    bench.report("attention", batch, heads, shape, 4.0 * active.count() * inner * kPositions, seconds);
  }
}

std::unique_ptr<Backend> open(const std::string& device) {
  if (device == "cpu") return cpu::open_cpu(2, "");
#ifdef MAGNETS_HAS_CUDA
  if (device.rfind("cuda", 0) == 0) return cuda::open(device.size() > 5 ? std::stoi(device.substr(5)) : 0, DType::bf16);
#endif
  throw Error("ERR_ARGUMENT", "expected cpu, or cuda:N where it was built with CUDA, but received " + device);
}

}  // namespace

int main(int count, char** arguments) {
  std::string device = "cpu", file;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(arguments[i], "--json") == 0 && i + 1 < count) {
      file = arguments[++i];
    } else {
      device = arguments[i];
    }
  }
  try {
    const auto backend = open(device);
    const bool quick = device == "cpu";
    Bench bench{*backend, quick ? DType::f32 : DType::bf16, quick, {}};
    bench.peak = backend->measure_peak();
    std::printf("%s: at its best %.2f TFLOP/s\n", backend->name().c_str(), bench.peak / 1e12);
    if (!file.empty()) {
      bench.json.open(file);
      bench.json << "{\"backend\": \"" << backend->name() << "\", \"peakTflops\": " << bench.peak / 1e12
                 << ", \"rows\": [";
    }
    for (const int batch : quick ? std::vector{1} : std::vector{1, 64}) {
      for (const int heads : {2, 4, 8, 16}) {
        for (const int rows : {kPositions, 100}) products(bench, batch, heads, 2 * batch * rows);
        attention(bench, batch, heads, 100);
      }
    }
    if (bench.json.is_open()) bench.json << "\n]}\n";
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: %s\n", error.code.c_str(), error.what());
    return 1;
  }
}
