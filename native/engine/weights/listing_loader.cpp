#include "../../ops/conv_ops.h"
#include "loader.h"

namespace magnets {

namespace {

struct NoLinear : Linear {
  size_t bytes() const override { return 0; }
};

struct NoTable : Table {
  size_t bytes() const override { return 0; }
};

size_t bytes_of_value(WeightFormat format) {
  switch (format.values) {
    case WeightFormat::Values::f32:
      return 4;
    case WeightFormat::Values::f16:
    case WeightFormat::Values::bf16:
      return 2;
    case WeightFormat::Values::int8:
      return 1;
  }
  return 0;
}

}  // namespace

void ListingLoader::add(const std::string& name, std::vector<int> shape, Grain grain) {
  if (names_.insert(name).second) tensors_.push_back({name, std::move(shape), grain});
}

std::unique_ptr<Linear> ListingLoader::counted_linear(int out, int in, Grain grain, bool has_bias) {
  const WeightFormat format = grain == Grain::any ? format_ : format_.fine();
  const bool has_scales = format.values == WeightFormat::Values::int8;
  bytes_ += bytes_of_value(format) * out * in + sizeof(float) * out * (has_bias + has_scales);
  return std::make_unique<NoLinear>();
}

std::unique_ptr<Table> ListingLoader::counted_table(int entries, int columns) {
  bytes_ += bytes_of_value(format_.fine()) * entries * columns;
  return std::make_unique<NoTable>();
}

std::unique_ptr<Buffer> ListingLoader::counted_matrix(int rows, int columns) {
  bytes_ += sizeof(float) * rows * columns;
  return std::make_unique<Buffer>();
}

std::unique_ptr<Linear> ListingLoader::linear(const std::string& weight, const std::string& bias, int out, int in,
                                              Grain grain, HeadDims) {
  add(weight, {out, in}, grain);
  if (!bias.empty()) add(bias, {out});
  return counted_linear(out, in, grain, !bias.empty());
}

std::unique_ptr<Linear> ListingLoader::linear(const std::vector<float>&, const std::vector<float>&, int out, int in) {
  return counted_linear(out, in, Grain::fine, true);
}

std::unique_ptr<Linear> ListingLoader::convolution(const std::string& name, int out, int in, Resampling resampling) {
  add(name + ".weight", {out, 3, 3, in});
  add(name + ".bias", {out});
  return counted_linear(out, layer_taps_of(resampling) * in, Grain::fine, true);
}

std::unique_ptr<Table> ListingLoader::table(const std::string& name, int entries, int columns) {
  add(name, {entries, columns});
  return counted_table(entries, columns);
}

std::unique_ptr<Table> ListingLoader::table(const std::vector<float>&, int entries, int columns) {
  return counted_table(entries, columns);
}

std::unique_ptr<Buffer> ListingLoader::matrix(const std::string& name, int rows, int columns, ElementType) {
  add(name, {rows, columns});
  return counted_matrix(rows, columns);
}

std::unique_ptr<Buffer> ListingLoader::matrix(const std::vector<float>&, int rows, int columns, ElementType) {
  return counted_matrix(rows, columns);
}

std::unique_ptr<Buffer> ListingLoader::vector(const std::string& name, int size) {
  add(name, {size});
  return counted_matrix(1, size);
}

std::vector<float> ListingLoader::values(const std::string& name, std::vector<int> shape) {
  add(name, std::move(shape));
  return {};
}

}  // namespace magnets
