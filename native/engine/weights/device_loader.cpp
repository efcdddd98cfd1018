#include <cmath>

#include "../../ops/half.h"
#include "loader.h"
#include "upsampling.h"

namespace magnets {

namespace {

/// body(), its errors with the tensor's place before them.
template <class Body>
auto naming(const WeightSource& source, const std::string& name, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    throw Error(error.code, source.place(name) + ": " + error.what());
  }
}

}  // namespace

DeviceLoader::DeviceLoader(Backend& backend, WeightSource& source, WeightFormat format)
    : backend_(backend), source_(source), format_(format), stream_(backend.stream()) {}

HostMatrix DeviceLoader::get(const std::string& name, int rows, int columns) {
  backend_.stop_flag().check();
  return source_.get(name, rows, columns);
}

std::unique_ptr<Linear> DeviceLoader::linear(const std::string& weight, const std::string& bias, int out, int in,
                                             Grain grain, HeadDims heads) {
  const std::vector<float> bias_values = bias.empty() ? std::vector<float>() : values(bias, {out});
  const HostMatrix matrix = get(weight, out, in);
  const WeightFormat format = grain == Grain::any ? format_ : format_.fine();
  return naming(source_, weight, [&] {
    return counted(backend_.linear(matrix, bias.empty() ? nullptr : bias_values.data(), format, heads));
  });
}

std::unique_ptr<Linear> DeviceLoader::linear(const std::vector<float>& weight, const std::vector<float>& bias, int out,
                                             int in) {
  return counted(
      backend_.linear({weight.data(), DType::f32, out, in}, bias.empty() ? nullptr : bias.data(), format_.fine()));
}

std::unique_ptr<Linear> DeviceLoader::convolution(const std::string& name, int out, int in, Resampling resampling) {
  if (resampling != Resampling::up) return linear(name, out, 9 * in);
  const std::vector<float> kernels = upsampling_kernels(values(name + ".weight", {out, 9 * in}), out, in);
  const std::vector<float> bias = values(name + ".bias", {out});
  return naming(source_, name + ".weight", [&] { return linear(kernels, bias, out, layer_taps_of(resampling) * in); });
}

std::unique_ptr<Table> DeviceLoader::table(const std::string& name, int entries, int columns) {
  const HostMatrix matrix = get(name, entries, columns);
  return naming(source_, name, [&] { return counted(backend_.table(matrix, format_.fine())); });
}

std::unique_ptr<Table> DeviceLoader::table(const std::vector<float>& values, int entries, int columns) {
  return counted(backend_.table({values.data(), DType::f32, entries, columns}, format_.fine()));
}

std::unique_ptr<Buffer> DeviceLoader::matrix(const std::string& name, int rows, int columns, ElementType type) {
  return matrix(values(name, {rows, columns}), rows, columns, type);
}

std::unique_ptr<Buffer> DeviceLoader::matrix(const std::vector<float>& values, int rows, int columns,
                                             ElementType type) {
  bytes_ += backend_.buffer_bytes(type, rows, columns);
  return upload_new(backend_, *stream_, type, rows, columns, values);
}

std::unique_ptr<Buffer> DeviceLoader::vector(const std::string& name, int size) {
  return matrix(name, 1, size, ElementType::f32);
}

std::vector<float> DeviceLoader::values(const std::string& name, std::vector<int> shape) {
  const int rows = shape.size() == 1 ? 1 : shape.front(), columns = shape.back();
  const HostMatrix tensor = get(name, rows, columns);
  std::vector<float> values;
  values.reserve(static_cast<size_t>(rows) * columns);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) values.push_back(element(tensor, row, column));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      throw Error("ERR_CHECKPOINT",
                  source_.place(name) + ": expected finite values but element " + std::to_string(i) + " is not");
    }
  }
  return values;
}

}  // namespace magnets
