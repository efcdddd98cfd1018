// Who chooses tiles: measurements that were handed over, else the formula, and never other bits. And the measuring
// itself, of the products that were asked for.
#include <climits>
#include <cstring>

#include "../../native/cuda/cuda_backend.h"
#include "../../native/cuda/cuda_stream.h"
#include "../../native/cuda/matmul/registry.h"
#include "../native/check.h"
#include "emulation/emulator.h"

using namespace magnets;
using namespace magnets::cuda;
using namespace magnets::test;

namespace {

constexpr Tile kPlain{128, 256};

MatmulProblem problem(int rows, int out, int in) { return problem_of({rows, out, in, 1, ProductEnd::stores}); }

void shapes_of_products() {
  MatmulProblem m = problem(9, 30, 20);
  check(shape_of(m) == ProductShape{16, 30, 20, 1, ProductEnd::stores}, "rows are rounded up to eight");
  m.rows = 16;
  check(shape_of(m).rows == 16, "sixteen rows are sixteen");
  m.products = 3;
  check(shape_of(m).products == 3, "three products");
  const std::pair<Epilogue, ProductEnd> ends[] = {
      {Epilogue::store, ProductEnd::stores},       {Epilogue::add, ProductEnd::adds},
      {Epilogue::add_scaled, ProductEnd::adds},    {Epilogue::multiply, ProductEnd::adds},
      {Epilogue::gelu, ProductEnd::activates},     {Epilogue::silu, ProductEnd::activates},
      {Epilogue::gelu_tanh, ProductEnd::activates}};
  for (const auto& [epilogue, end] : ends) {
    m.epilogue = epilogue;
    check(shape_of(m).end == end, "the end of epilogue " + std::to_string(static_cast<int>(epilogue)));
  }
  m.f32_out = true;
  check(shape_of(m).end == ProductEnd::f32, "f32 comes before the epilogue");
  for (const ProductEnd end : {ProductEnd::stores, ProductEnd::adds, ProductEnd::activates, ProductEnd::f32}) {
    const ProductShape shape{24, 30, 20, 3, end};
    check(shape_of(problem_of(shape)) == shape, "a shape's problem has the shape");
  }
}

void choices_of_a_registry() {
  const MatmulProblem m = problem(514, 1024, 4096);
  const Tile formula = tile_of(Registry(90, 132, {}).choose(m));
  check(formula != kPlain, "by formula another tile");
  Registry registry(90, 132, {{shape_of(m), kPlain}, {shape_of(problem(64, 1024, 4096)), kPlain}});
  check(tile_of(registry.choose(m)) == kPlain, "a measured tile is taken");
  check(tile_of(registry.by_formula(m)) == formula, "the formula stays what it is");
  check(tile_of(registry.choose(problem(520, 1024, 4096))) == kPlain, "of so many rows more too");
  check(tile_of(registry.choose(problem(521, 1024, 4096))) != kPlain, "of other rows not");
  check(std::holds_alternative<MmaChoice>(registry.choose(problem(64, 1024, 4096))),
        "another kernel's tile, whose bits are others, is not taken");
  check(tile_of(Registry(90, 132, {{shape_of(m), {128, 255}}}).choose(m)) == formula, "nor one that there is not");

  MatmulProblem convolution = m;
  convolution.picture.lines = 8;
  check(tile_of(registry.choose(convolution)) == formula, "convolutions are chosen by formula");
  convolution.picture.lines = 0;
  convolution.taps = 9;
  check(tile_of(registry.choose(convolution)) == tile_of(registry.by_formula(convolution)), "those of nine taps too");
  static constexpr float kWeight = 1;
  MatmulProblem normed = m;
  normed.norm.weight = &kWeight;
  check(tile_of(registry.choose(normed)) == tile_of(registry.by_formula(normed)),
        "and those that normalize their sums");
  check(registry.met() == std::vector<ProductShape>{shape_of(problem(64, 1024, 4096)), shape_of(m),
                                                    shape_of(problem(521, 1024, 4096))},
        "the shapes that were met, once each, without convolutions and norms");
}

void tiles_of_the_same_bits() {
  for (const int capability : {80, 90, 120}) {
    for (const int rows : {8, 64, 72, 514, 4112}) {
      const MatmulChoice formula = choose_matmul(problem(rows, 1024, 1024), capability, 132);
      const auto all = same_bits_as(formula);
      check(tile_of(all[0]) == tile_of(formula), "the formula's comes first");
      for (size_t i = 0; i < all.size(); ++i) {
        check(all[i].index() == formula.index(), "one kind of kernel");
        for (size_t j = 0; j < i; ++j) check(tile_of(all[i]) != tile_of(all[j]), "each tile once");
        if (const auto* mma = std::get_if<MmaChoice>(&all[i])) check(all.size() == 1 || mma->splits == 1, "no parts");
      }
      const bool parts = all.size() == 1 && std::holds_alternative<MmaChoice>(formula);
      check(parts == (std::holds_alternative<MmaChoice>(formula) && std::get<MmaChoice>(formula).splits > 1),
            "what is split has one choice");
      check(parts || all.size() == (capability == 90 && rows > 64 ? kWgmmaShapeCount : 3), "all tiles");
    }
  }
}

/// A product by a backend that was opened with these choices.
std::vector<float> multiply(const Subject& subject, ComputeType compute, const std::vector<TileChoice>& choices,
                            const ProductShape& shape, std::vector<TileTiming>* timings = nullptr) {
  const auto backend = cuda::open(0, compute, INT_MAX, choices);
  const auto stream = backend->stream();
  Random random(5);
  const auto layer =
      backend->linear({to_floats(random.matrix(shape.out, shape.in)).data(), DType::f32, shape.out, shape.in}, nullptr,
                      subject.formats()[0]);
  const auto x = backend->allocate(ElementType::activation, shape.rows, shape.in),
             y = backend->allocate(ElementType::activation, shape.rows, shape.out);
  stream->upload(to_floats(random.matrix(shape.rows, shape.in)).data(), shape.rows, shape.in, *x);
  for (int i = 0; i < 2; ++i) {  // asked for twice, timed once
    stream->run(Matmul{.layer = *layer, .out = shape.out, .in = shape.in, .x = {*x}, .rows = shape.rows, .y = *y});
  }
  std::vector<float> values(static_cast<size_t>(shape.rows) * shape.out);
  stream->download(*y, shape.rows, shape.out, values.data());
  if (timings != nullptr) *timings = backend->time_tiles();
  return values;
}

void measured_tiles(const Subject& subject) {
  subject.open();  // the emulator is now the subject's device
  const bool f16 = subject.formats()[0].values == WeightFormat::Values::f16;
  const ComputeType compute = f16 ? ComputeType::f16 : ComputeType::bf16;
  const ProductShape shape{72, 24, 72, 1, ProductEnd::stores};
  std::vector<TileTiming> timings;
  const auto by_formula = multiply(subject, compute, {}, shape, &timings);
  check(!timings.empty(), subject.name() + ": something is timed");
  int formulas = 0;
  for (const TileTiming& timing : timings) {
    const std::string what =
        subject.name() + ", tiles of " + std::to_string(timing.tile.rows) + " x " + std::to_string(timing.tile.columns);
    check(timing.product == shape && timing.seconds.size() == 5, what + ": the product that was asked for, five times");
    for (const double seconds : timing.seconds) check(seconds > 0, what + ": a time");
    formulas += timing.by_formula;
    const auto values = multiply(subject, compute, {{shape, timing.tile}}, shape);
    check(std::memcmp(values.data(), by_formula.data(), values.size() * sizeof(float)) == 0, what + ": the same bits");
  }
  check(formulas == 1 && timings[0].by_formula, subject.name() + ": one of them is the formula's");
}

/// Every end, with the memory that its kernel wants; the sanitizers and the emulator watch.
void every_end_is_timed() {
  emulator::device = {9, 0, 4};
  for (const int products : {1, 3}) {
    for (const ProductEnd end : {ProductEnd::stores, ProductEnd::adds, ProductEnd::activates, ProductEnd::f32}) {
      if (products == 3 && end != ProductEnd::stores) continue;
      const auto device = std::make_shared<Device>(0, INT_MAX);
      const auto registry = std::make_shared<Registry>(90, 4, std::vector<TileChoice>{});
      CudaStream stream(device, registry, ComputeType::bf16);
      check(stream.time_tiles({{72, 24, 24, products, end}}).size() == kWgmmaShapeCount, "all shapes are timed");
    }
  }
}

}  // namespace

int main() {
  shapes_of_products();
  choices_of_a_registry();
  tiles_of_the_same_bits();
  for (const auto& subject : subjects(Variety::devices)) measured_tiles(*subject);
  every_end_is_timed();
  return report("registry");
}
