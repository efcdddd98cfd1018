#include "loader.h"

namespace magnets {

void ListingLoader::add(const std::string& name, std::vector<int> shape, Grain grain) {
  if (names_.insert(name).second) tensors_.push_back({name, std::move(shape), grain});
}

std::unique_ptr<Linear> ListingLoader::linear(const std::string& weight, const std::string& bias, int out, int in,
                                              Grain grain, HeadDims) {
  add(weight, {out, in}, grain);
  if (!bias.empty()) add(bias, {out});
  return nullptr;
}

std::unique_ptr<Linear> ListingLoader::linear(const std::vector<float>&, const std::vector<float>&, int, int) {
  return nullptr;
}

std::unique_ptr<Linear> ListingLoader::convolution(const std::string& name, int out, int in, Resampling) {
  add(name + ".weight", {out, 3, 3, in});
  add(name + ".bias", {out});
  return nullptr;
}

std::unique_ptr<Table> ListingLoader::table(const std::string& name, int entries, int columns) {
  add(name, {entries, columns});
  return nullptr;
}

std::unique_ptr<Table> ListingLoader::table(const std::vector<float>&, int, int) { return nullptr; }

std::unique_ptr<Buffer> ListingLoader::matrix(const std::string& name, int rows, int columns, ElementType) {
  add(name, {rows, columns});
  return nullptr;
}

std::unique_ptr<Buffer> ListingLoader::matrix(const std::vector<float>&, int, int, ElementType) { return nullptr; }

std::unique_ptr<Buffer> ListingLoader::vector(const std::string& name, int size) {
  add(name, {size});
  return nullptr;
}

std::vector<float> ListingLoader::values(const std::string& name, std::vector<int> shape) {
  add(name, std::move(shape));
  return {};
}

}  // namespace magnets
