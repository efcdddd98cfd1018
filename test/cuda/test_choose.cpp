// Which kernel multiplies what on an H100: by the formula that was fitted to measurements there, calculated by itself
// for these products of size L with guidance.
#include <iterator>
#include <string>
#include <utility>

#include "../../native/cuda/matmul/registry.h"
#include "../native/check.h"

using namespace magnets;
using namespace magnets::cuda;
using namespace magnets::test;

namespace {

constexpr int kMultiprocessors = 132;

struct Case {
  const char* name;
  ProductShape shape;
  int tile_rows, tile_columns, tiles;
  double microseconds;
  bool norm = false;
};

constexpr Case kCases[] = {
    {"up, batch 1", {514, 4096, 1024, 1, ProductEnd::activates}, 176, 128, 96, 9.72},
    {"down, batch 1", {514, 1024, 4096, 1, ProductEnd::adds}, 56, 128, 80, 15.72},
    {"qkv, batch 1", {514, 1024, 1024, 3, ProductEnd::stores}, 136, 128, 96, 8.34},
    {"output, batch 1", {514, 1024, 1024, 1, ProductEnd::adds}, 56, 128, 80, 5.88},
    {"up, batch 1, an eighth", {514, 512, 1024, 1, ProductEnd::activates}, 56, 64, 80, 4.70},
    {"down, batch 1, an eighth", {514, 1024, 512, 1, ProductEnd::adds}, 56, 128, 80, 4.24},
    {"qkv, batch 1, an eighth", {514, 128, 1024, 3, ProductEnd::stores}, 56, 64, 60, 4.64},
    {"output, batch 1, an eighth", {514, 1024, 128, 1, ProductEnd::adds}, 72, 64, 128, 3.00},
    {"up, 194 rows", {194, 4096, 1024, 1, ProductEnd::activates}, 104, 128, 64, 7.15},
    {"down, 132 rows", {132, 1024, 4096, 1, ProductEnd::adds}, 56, 64, 48, 11.06},
    {"words, 506 rows", {506, 2025, 1024, 1, ProductEnd::f32}, 104, 128, 80, 7.27},
    {"up, batch 8", {4112, 4096, 1024, 1, ProductEnd::activates}, 128, 256, 528, 51.60},
    {"up, batch 64", {32896, 4096, 1024, 1, ProductEnd::activates}, 128, 256, 4112, 394.80},
    {"down, batch 64", {32896, 1024, 4096, 1, ProductEnd::adds}, 128, 256, 1028, 359.34},
    {"qkv, batch 64, an eighth", {32896, 128, 1024, 3, ProductEnd::stores}, 176, 128, 561, 49.13},
    // With the norm of their sums: in clusters of eight blocks, or of four.
    {"down, batch 1, normed", {514, 1024, 4096, 1, ProductEnd::adds}, 56, 128, 80, 16.53, true},
    {"output, batch 1, normed", {514, 1024, 1024, 1, ProductEnd::adds}, 56, 128, 80, 6.68, true},
    {"output, an eighth, normed", {514, 1024, 128, 1, ProductEnd::adds}, 56, 128, 80, 3.81, true},
    {"down, batch 8, normed", {4112, 1024, 4096, 1, ProductEnd::adds}, 128, 256, 132, 48.91, true},
    {"down, batch 64, normed", {32896, 1024, 4096, 1, ProductEnd::adds}, 128, 256, 1028, 370.55, true},
};

MatmulProblem problem_of(const Case& c) {
  MatmulProblem problem = cuda::problem_of(c.shape);
  static constexpr float kWeight = 1;
  if (c.norm) problem.norm.weight = &kWeight;
  return problem;
}

}  // namespace

int main() {
  for (const Case& c : kCases) {
    const MatmulProblem problem = problem_of(c);
    const MatmulChoice any = choose_matmul(problem, 90, kMultiprocessors);
    const auto* choice = std::get_if<WgmmaChoice>(&any);
    check(choice != nullptr, std::string(c.name) + ": wgmma");
    if (choice == nullptr) continue;
    const WgmmaShape& shape = kWgmmaShapes[choice->shape];
    check(shape.rows() == c.tile_rows && shape.columns() == c.tile_columns,
          std::string(c.name) + ": tiles of " + std::to_string(shape.rows()) + " x " + std::to_string(shape.columns()));
    check(choice->normalizes == c.norm, std::string(c.name) + ": the norm");
    check(tiles_of(problem, shape.rows(), shape.columns()) == c.tiles, std::string(c.name) + ": tiles");
    check_near(wgmma_time(shape, problem, kMultiprocessors), c.microseconds, 0.005, c.name);
  }

  // Few rows, or another device: mma.sync, whose parts fill the device.
  MatmulProblem few = problem_of(kCases[1]);
  few.rows = few.x_rows = 64;
  for (const auto& [problem, capability] :
       {std::pair(few, 90), std::pair(problem_of(kCases[0]), 80), std::pair(problem_of(kCases[0]), 100)}) {
    check(std::holds_alternative<MmaChoice>(choose_matmul(problem, capability, kMultiprocessors)), "mma.sync");
  }
  // What does a norm depends on its columns, not on how many rows there are.
  for (const int out : {64, 1024, 2048, 2049}) {
    for (const int rows : {65, 514, 32896}) {
      MatmulProblem normed = problem_of(kCases[std::size(kCases) - 1]);
      normed.out = out;
      normed.rows = rows;
      const auto choice = std::get<WgmmaChoice>(choose_matmul(normed, 90, kMultiprocessors));
      check(choice.normalizes == (out <= 2048), "a norm of " + std::to_string(out) + " columns");
      check(!choice.normalizes || blocks_of_row(kWgmmaShapes[choice.shape], normed) <= kMostClusterBlocks,
            "blocks of a cluster");
    }
  }
  check(std::get<MmaChoice>(choose_matmul(few, 90, kMultiprocessors)).splits > 1, "few rows are split");
  return report("choose");
}
