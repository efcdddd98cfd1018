// Where weights come from: files, and the tensors that are listed for a checkpoint.
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "../../native/engine/codec/conv.h"
#include "../../native/engine/codec/titok.h"
#include "../../native/engine/codec/vit.h"
#include "codecs.h"
#include "cpu_generations.h"

using namespace magnets;
using namespace magnets::test;

namespace {

/// A tensor is read from wherever it lies in its file, also far behind 2^32 bytes.
void weights_are_read_from_files() {
  const std::string path =
      std::filesystem::temp_directory_path() / ("magnets-" + std::to_string(std::random_device{}()));
  constexpr uint64_t kFar = (uint64_t{1} << 32) + 12;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  {
    std::ofstream file(path, std::ios::binary);
    for (const uint64_t position : {uint64_t{8}, kFar}) {
      file.seekp(static_cast<std::streamoff>(position));
      file.write(reinterpret_cast<const char*>(values.data()), 6 * sizeof(float));
    }
  }
  FileWeights weights({{"near", {path, 8, DType::f32, 6}},
                       {"far", {path, kFar + 4, DType::f32, 5}},
                       {"cut", {path, kFar + 4, DType::f32, 6}},
                       {"gone", {path + "-not", 0, DType::f32, 6}}});
  const auto read = [&](const char* name, int rows, int columns) {
    const HostMatrix matrix = weights.get(name, rows, columns);
    const auto* first = static_cast<const float*>(matrix.data);
    return std::vector<float>(first, first + static_cast<size_t>(rows) * columns);
  };
  check(read("near", 2, 3) == values, "at the beginning of a file");
  check(read("far", 1, 5) == std::vector<float>{2, 3, 4, 5, 6}, "far behind");
  check(read("near", 1, 6) == values, "again");
  check(error_of([&] { read("cut", 1, 6); }).starts_with("ERR_CHECKPOINT"), "a file that ends too early");
  check(read("near", 1, 6) == values, "after a failure");
  check(error_of([&] { read("gone", 1, 6); }).starts_with("ERR_CHECKPOINT"), "a file that is gone");
  check(error_of([&] { read("near", 1, 5); }).starts_with("ERR_CHECKPOINT"), "another size");
  check(error_of([&] {
          load_model<Generator>(cpu::open_cpu(1, ""), config_of(Style::post), weights, kF32);
        }).starts_with("ERR_CHECKPOINT"),
        "missing tensors");
  std::filesystem::remove(path);
}

/// Random weights that remember what was asked for.
class Recorder : public RandomWeights {
 public:
  using RandomWeights::RandomWeights;
  HostMatrix get(const std::string& name, int rows, int columns) override {
    sizes[name] = static_cast<size_t>(rows) * columns;
    return RandomWeights::get(name, rows, columns);
  }
  std::map<std::string, size_t> sizes;
};

/// What is listed is what is loaded: each listed tensor is asked for, in its size, and no other.
template <class Model, class Config>
void the_listed_tensors_are_those_that_are_loaded(const Config& config, const std::string& what) {
  Recorder loaded(1);
  load_model<Model>(cpu::open_cpu(1, ""), config, loaded, kF32);
  const std::vector<TensorShape> listed = tensors_of<Model>(config);
  check(listed.size() == loaded.sizes.size(), what + ": as many tensors are listed as are loaded");
  for (const TensorShape& tensor : listed) {
    size_t size = 1;
    for (const int extent : tensor.shape) size *= extent;
    const auto found = loaded.sizes.find(tensor.name);
    check(found != loaded.sizes.end() && found->second == size, what + ": " + tensor.name);
  }
}

}  // namespace

int main() {
  weights_are_read_from_files();
  for (const Style style : kStyles) {
    the_listed_tensors_are_those_that_are_loaded<Generator>(config_of(style), "generator");
  }
  the_listed_tensors_are_those_that_are_loaded<Vit>(vit_config(), "codec");
  ConvConfig of_bits = conv_config(false);
  of_bits.quantizer = Quantizer::bits;
  of_bits.codebook_size = 32;
  of_bits.codebook_dim = of_bits.decoder.code_channels = 5;
  for (const ConvConfig& config : {conv_config(false), conv_config(true), of_bits}) {
    the_listed_tensors_are_those_that_are_loaded<Conv>(config, "convolutional codec");
  }
  the_listed_tensors_are_those_that_are_loaded<Titok>(titok_config(), "codec of latent tokens");
  return report("weights");
}
