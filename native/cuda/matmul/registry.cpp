#include "registry.h"

namespace magnets::cuda {

namespace {

/// A generation meets some hundred. A server that serves others for months must not fill its memory.
constexpr size_t kMostMet = 4096;

constexpr MmaTile kMmaTiles[] = {MmaTile::large, MmaTile::medium, MmaTile::small};

ProductEnd end_of(const MatmulProblem& m) {
  if (m.f32_out) return ProductEnd::f32;
  if (reads_y(m)) return ProductEnd::adds;
  return m.epilogue == Epilogue::store ? ProductEnd::stores : ProductEnd::activates;
}

bool is_convolution(const MatmulProblem& m) { return m.taps > 1 || m.picture.lines > 0; }

bool normalizes(const MatmulChoice& choice) {
  const auto* wgmma = std::get_if<WgmmaChoice>(&choice);
  return wgmma != nullptr && wgmma->normalizes;
}

}  // namespace

ProductShape shape_of(const MatmulProblem& m) {
  const int rows = (m.rows + kRowsOfShape - 1) / kRowsOfShape * kRowsOfShape;
  return {rows, m.out, m.in, m.products, end_of(m)};
}

MatmulProblem problem_of(const ProductShape& shape) {
  MatmulProblem m{};
  m.rows = m.x_rows = shape.rows;
  m.out = shape.out;
  m.in = shape.in;
  m.taps = 1;
  m.products = shape.products;
  m.f32_out = shape.end == ProductEnd::f32;
  m.epilogue = shape.end == ProductEnd::adds        ? Epilogue::add
               : shape.end == ProductEnd::activates ? Epilogue::gelu_tanh
                                                    : Epilogue::store;
  return m;
}

Tile tile_of(const MatmulChoice& choice) {
  if (const auto* wgmma = std::get_if<WgmmaChoice>(&choice)) {
    const WgmmaShape& shape = kWgmmaShapes[wgmma->shape];
    return {shape.rows(), shape.columns()};
  }
  const TileSize size = size_of(std::get<MmaChoice>(choice).tile);
  return {size.rows, size.columns};
}

std::vector<MatmulChoice> same_bits_as(const MatmulChoice& by_formula) {
  std::vector<MatmulChoice> choices{by_formula};
  const auto add = [&](const MatmulChoice& other) {
    if (tile_of(other) != tile_of(by_formula)) choices.push_back(other);
  };
  if (std::holds_alternative<WgmmaChoice>(by_formula)) {
    for (int shape = 0; shape < kWgmmaShapeCount; ++shape) add(WgmmaChoice{shape, false});
  } else if (std::get<MmaChoice>(by_formula).splits == 1) {
    for (const MmaTile tile : kMmaTiles) add(MmaChoice{tile, 1});
  }
  return choices;
}

Registry::Registry(int capability, int multiprocessors, const std::vector<TileChoice>& choices)
    : capability_(capability), multiprocessors_(multiprocessors) {
  for (const TileChoice& choice : choices) tiles_[choice.product] = choice.tile;
}

MatmulChoice Registry::by_formula(const MatmulProblem& m) const {
  return choose_matmul(m, capability_, multiprocessors_);
}

MatmulChoice Registry::choose(const MatmulProblem& m) {
  const MatmulChoice formula = by_formula(m);
  if (is_convolution(m) || normalizes(formula)) return formula;
  const ProductShape shape = shape_of(m);
  {
    const std::lock_guard lock(mutex_);
    if (met_.size() < kMostMet) met_.insert(shape);
  }
  const auto found = tiles_.find(shape);
  if (found == tiles_.end()) return formula;
  for (const MatmulChoice& choice : same_bits_as(formula)) {
    if (tile_of(choice) == found->second) return choice;
  }
  return formula;
}

std::vector<ProductShape> Registry::met() {
  const std::lock_guard lock(mutex_);
  return {met_.begin(), met_.end()};
}

}  // namespace magnets::cuda
