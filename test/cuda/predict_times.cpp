// Prints how long the kernels of size L should take on an H100, by formula, for scripts/predict-times.js: those of a
// generation of 12 steps with guidance, in batches of 1, 8 and 64, and the generation. Products by matmul/choose.cpp;
// attention, and what moves rows, by the formulas of docs/cuda-predictions.md. Nothing of it is measured.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "../../native/cuda/kernels/attention_wgmma.h"
#include "../../native/cuda/matmul/registry.h"

using namespace magnets;
using namespace magnets::cuda;

namespace {

constexpr int kMultiprocessors = 132, kLayers = 24, kHiddenSize = 1024, kHeads = 16, kIntermediateSize = 4096,
              kPositions = 257, kVocabulary = 2025, kBranches = 2;
constexpr double kLaunch = 2.0, kBytes = 3.0e6;  // microseconds, and bytes a microsecond of an H100's memory

/// Active rows and logits rows of a sequence, step by step.
struct Step {
  int heads, rows, logits_rows;
};
constexpr Step kPaper[] = {{2, 257, 256}, {2, 256, 253}, {2, 253, 247}, {4, 257, 236}, {4, 236, 221}, {4, 221, 203},
                           {8, 257, 181}, {8, 181, 155}, {8, 155, 128}, {16, 257, 97}, {16, 97, 66},  {16, 66, 33}};

struct Kernel {
  std::string name, shape, kernel;
  int heads, blocks;
  double microseconds;
};

/// What one batch launches: each kernel of another shape once, and the sum of all.
struct Generation {
  int batch;
  std::map<std::string, Kernel> kernels = {};
  double microseconds = 0;

  void add(const Kernel& kernel, int times) {
    kernels.try_emplace(kernel.name + " " + std::to_string(kernel.heads) + " " + kernel.shape, kernel);
    microseconds += times * kernel.microseconds;
  }

  void product(int heads, const char* name, const ProductShape& product, bool norm, int times) {
    static constexpr float kWeight = 1;
    MatmulProblem m = problem_of(product);
    if (norm) m.norm.weight = &kWeight;
    // More than 64 rows: by wgmma.
    const WgmmaShape& shape = kWgmmaShapes[std::get<WgmmaChoice>(choose_matmul(m, 90, kMultiprocessors)).shape];
    const std::string size = product.products > 1 ? "3 x " + std::to_string(product.out) : std::to_string(product.out);
    add({.name = name,
         .shape = std::to_string(product.rows) + " x " + size + " x " + std::to_string(product.in),
         .kernel = "matmul_wgmma_kernel<bf16, " + std::to_string(shape.groups) + ", " + std::to_string(shape.right) +
                   ", " + std::to_string(shape.swapped) + ">",
         .heads = heads,
         .blocks = tiles_of(m, shape.rows(), shape.columns()),
         .microseconds = wgmma_time(shape, m, kMultiprocessors)},
        times);
  }

  /// In cycles: 66 KB of keys and values at 64 bytes a cycle, two products, the powers, the rest. Where blocks share a
  /// multiprocessor, each but one computes while others load.
  void attention(int heads, int rows) {
    constexpr double kLoad = 1030, kProducts = 1024, kPowers = 900, kRest = 500;
    const double clocks = batch < 64 ? 1980 : 1660;  // a microsecond; what the power limit leaves
    const int units = kBranches * batch * heads, blocks = (rows + kWgmmaQueries - 1) / kWgmmaQueries * units;
    const int of_one = (blocks + kMultiprocessors - 1) / kMultiprocessors;
    const double cycles = kLoad + kRest + of_one * (kProducts + kPowers);
    const double bytes = 2.0 * 2 * kWgmmaHeadDim * units * (rows + kPositions);
    add({.name = "attention",
         .shape = std::to_string(kBranches * batch) + " x " + std::to_string(rows) + " rows",
         .kernel = "attention_wgmma_kernel<bf16>",
         .heads = heads,
         .blocks = blocks,
         .microseconds = kLaunch + std::max(cycles / clocks, bytes / kBytes)},
        kLayers);
  }

  void rows(const char* name, const char* kernel, int count, int of_block, double bytes) {
    add({.name = name,
         .shape = std::to_string(count) + " rows",
         .kernel = kernel,
         .heads = kHeads,
         .blocks = (count + of_block - 1) / of_block,
         .microseconds = kLaunch + bytes / kBytes},
        1);
  }

  void step(const Step& s) {
    const int rows_of = kBranches * batch * s.rows, logits_rows = kBranches * batch * s.logits_rows;
    const int inner = s.heads * kWgmmaHeadDim, hidden = kIntermediateSize / kHeads * s.heads;
    const double row = 2.0 * kHiddenSize;  // bytes
    rows("select and embed", "select_and_embed_kernel<bf16>", rows_of, 4, 4 * row * rows_of);
    product(s.heads, "qkv", {rows_of, inner, kHiddenSize, 3, ProductEnd::stores}, false, kLayers);
    attention(s.heads, s.rows);
    const auto residual = [&](const char* name, int in) {
      product(s.heads, name, {rows_of, kHiddenSize, in, 1, ProductEnd::adds}, true, kLayers);
    };
    residual("output", inner);
    product(s.heads, "up", {rows_of, hidden, kHiddenSize, 1, ProductEnd::activates}, false, kLayers);
    residual("down", hidden);
    rows("gather", "gather_kernel<bf16>", logits_rows, 4, 2 * row * logits_rows);
    product(kHeads, "dense", {logits_rows, kHiddenSize, kHiddenSize, 1, ProductEnd::activates}, true, 1);
    product(kHeads, "lm_head", {logits_rows, kVocabulary, kHiddenSize, 1, ProductEnd::f32}, false, 1);
    rows("sample and reveal", "sample_and_reveal_kernel", batch * s.logits_rows, 1, 4.0 * kVocabulary * logits_rows);
  }
};

const char* separator = "";

void print(int batch, const Kernel& k) {
  std::printf("%s\n  {\"name\": \"%s\", \"batch\": %d, ", separator, k.name.c_str(), batch);
  if (!k.kernel.empty()) {
    std::printf("\"heads\": %d, \"shape\": \"%s\", \"kernel\": \"%s\", \"blocks\": %d, ", k.heads, k.shape.c_str(),
                k.kernel.c_str(), k.blocks);
  }
  std::printf("\"predictedMicroseconds\": %.3g}", k.microseconds);
  separator = ",";
}

}  // namespace

int main() {
  std::printf("[");
  for (const int batch : {1, 8, 64}) {
    Generation paper{batch}, baseline{batch};
    for (const Step& step : kPaper) {
      paper.step(step);
      baseline.step({kHeads, kPositions, kPositions});
    }
    paper.kernels.merge(baseline.kernels);
    for (const auto& [_, kernel] : paper.kernels) print(batch, kernel);
    print(batch, {.name = "paper", .microseconds = paper.microseconds});
    print(batch, {.name = "baseline", .microseconds = baseline.microseconds});
  }
  std::printf("\n]\n");
}
