// Weights that are bytes: the kernels against plain loops, exact in every sum, and alike to the bit in what they round;
// operations against the reference's product of the same multiples; what is kept, and what is refused.
#include <malloc.h>

#include <array>
#include <limits>
#include <new>

#include "../../native/cpu/cpu_backend.h"
#include "../../native/cpu/kernels/int8.h"
#include "../../native/ops/half.h"
#include "check.h"

namespace {

int64_t live_bytes = 0;  // of what is aligned, as the CPU's memory is

}  // namespace

void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  const auto unit = static_cast<std::size_t>(alignment);
  void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit);
  if (memory != nullptr) live_bytes += static_cast<int64_t>(malloc_usable_size(memory));
  return memory;
}
void operator delete(void* memory, std::align_val_t) noexcept {
  live_bytes -= static_cast<int64_t>(malloc_usable_size(memory));
  std::free(memory);
}

#ifdef __x86_64__
#include "../../native/cpu/kernels/x86_processor.h"

namespace magnets::cpu {
extern const Int8Kernels kInt8AvxVnniKernelsAsAvx512;  // CMakeLists.txt
}
#endif

using namespace magnets;
using namespace magnets::test;

namespace {

/// Best first; the last is "portable".
std::vector<const cpu::Int8Kernels*> all_kernels() {
  std::vector<const cpu::Int8Kernels*> kernels = cpu::available_int8_kernels();
#ifdef __x86_64__
  if (cpu::X86Processor::ask().avx512_vnni) kernels.insert(kernels.begin(), &cpu::kInt8AvxVnniKernelsAsAvx512);
#endif
  return kernels;
}

constexpr WeightFormat kInt8{WeightFormat::Values::int8}, kF32{WeightFormat::Values::f32};

/// A tile over all inputs, one block after the other.
void tile(const cpu::Int8Kernels& kernels, int rows, const void* q, size_t stride, const int32_t* row_sums,
          const std::vector<uint8_t>& panel, int32_t* sums) {
  const int groups = static_cast<int>(panel.size()) / (cpu::kPanel * cpu::kInputGroup);
  const int block = cpu::kInt8Block / cpu::kInputGroup;
  for (int first = 0; first < groups; first += block) {
    const size_t input = static_cast<size_t>(first) * cpu::kInputGroup;
    kernels.tile(rows, static_cast<const char*>(q) + input * kernels.input_size, stride, row_sums,
                 panel.data() + input * cpu::kPanel, std::min(block, groups - first), first > 0, sums);
  }
}

int groups_of(int inputs) { return (inputs + cpu::kInputGroup - 1) / cpu::kInputGroup; }

/// A row as the kernels round it, in the order of its inputs.
struct PlainRow {
  explicit PlainRow(const std::vector<float>& x) {
    float largest = 0x1p-100f;
    for (const float value : x) largest = std::max(largest, std::abs(value));
    scale = largest * (1.0f / 127.0f);
    const float factor = 127.0f / largest;
    for (const float value : x) q.push_back(static_cast<int>(std::nearbyint(value * factor)));
  }
  float scale;
  std::vector<int> q;
};

/// A quantized row of some kernels as numbers.
std::vector<int> numbers_of(const cpu::Int8Kernels& kernels, const void* row, int count) {
  std::vector<int> numbers;
  for (int i = 0; i < count; ++i) {
    if (kernels.input_size == 1) numbers.push_back(static_cast<const int8_t*>(row)[i]);
    if (kernels.input_size == 2) numbers.push_back(static_cast<const int16_t*>(row)[i]);
    if (kernels.input_size == 4) numbers.push_back(static_cast<int>(static_cast<const float*>(row)[i]));
  }
  return numbers;
}

void rounds_rows(const cpu::Int8Kernels& kernels) {
  const std::string name = kernels.name;
  for (const int n : {1, 2, 3, 4, 5, 15, 16, 17, 31, 64, 100, 1027}) {
    for (const float size : {1.0f, 3e38f, 1e-30f, 1e-37f, 0.0f}) {
      Random random(n);
      std::vector<float> x;
      // Halves between multiples among them: to even.
      for (int i = 0; i < n; ++i) x.push_back(i % 5 == 0 ? (random.below(254) - 126.5f) / 127 : float(random.value()));
      x[n / 2] = -1;
      for (float& value : x) value *= size;
      constexpr char kUntouched = 0x5a;
      std::vector<char> row((groups_of(n) * cpu::kInputGroup + 16) * sizeof(float), kUntouched);
      const cpu::Int8Row found = kernels.quantize(x.data(), n, row.data());
      const PlainRow plain(x);
      const auto numbers = numbers_of(kernels, row.data(), groups_of(n) * cpu::kInputGroup);
      int sum = 0;
      bool equal = true;
      for (size_t i = 0; i < numbers.size(); ++i) {
        equal = equal && numbers[i] == (static_cast<int>(i) < n ? plain.q[i] : 0);
        sum += numbers[i];
      }
      check(equal, name + ": rounded inputs, and zeros after them, of " + std::to_string(n));
      check(found.scale == plain.scale, name + ": the scale of a row");
      check(found.sum == sum, name + ": the sum of a row");
      check(std::all_of(row.begin() + numbers.size() * kernels.input_size, row.end(),
                        [](char byte) { return byte == kUntouched; }),
            name + ": writes no further");
    }
  }
  for (const float wrong : {NAN, -NAN, INFINITY, -INFINITY}) {
    std::vector<float> x(37, 1.0f), row(40);
    x[20] = wrong;
    check(!std::isfinite(kernels.quantize(x.data(), 37, row.data()).scale), name + ": what is not finite shows");
  }
}

/// Every number of rows and inputs; weights and inputs at the ends of their range, where 16 bits would not hold sums of
/// two products of them.
void adds_up_exactly(const cpu::Int8Kernels& kernels) {
  enum Content { random, all_largest, opposite, kContents };
  for (const int inputs : {1, 2, 3, 4, 5, 8, 13, 31, 64, 257, 1029, 4100}) {
    for (int content = 0; content < kContents; ++content) {
      Random source(inputs);
      const int groups = groups_of(inputs), padded = groups * cpu::kInputGroup;
      std::vector<int> w(cpu::kPanel * padded);
      for (size_t i = 0; i < w.size(); ++i) {
        w[i] = content == random ? source.below(256) - 128 : content == opposite && i % 2 == 0 ? 127 : -128;
      }
      std::vector<uint8_t> panel(w.size());
      for (int group = 0; group < groups; ++group) {
        for (int o = 0; o < cpu::kPanel; ++o) {
          for (int place = 0; place < cpu::kInputGroup; ++place) {
            const int i = group * cpu::kInputGroup + kernels.order[place];
            panel[(group * cpu::kPanel + o) * cpu::kInputGroup + place] = static_cast<uint8_t>(w[o * padded + i] + 128);
          }
        }
      }
      for (int rows = 1; rows <= kernels.tile_rows; ++rows) {
        if (inputs > 300 && rows != 1 && rows != kernels.tile_rows) continue;
        const size_t stride = (padded + 3) * sizeof(float) / kernels.input_size * kernels.input_size;
        std::vector<char> q(rows * stride);
        std::vector<std::vector<int>> numbers;
        std::vector<int32_t> row_sums;
        for (int row = 0; row < rows; ++row) {
          std::vector<float> x;
          for (int i = 0; i < inputs; ++i) {
            x.push_back(content == random ? source.below(255) - 127 : content == opposite && i % 2 == 0 ? -127 : 127);
          }
          x[0] = 127;  // the scale is 1
          const cpu::Int8Row found = kernels.quantize(x.data(), inputs, q.data() + row * stride);
          row_sums.push_back(found.sum);
          numbers.push_back(numbers_of(kernels, q.data() + row * stride, padded));
        }
        constexpr int32_t kUntouched = -77;
        std::vector<int32_t> sums((rows + 1) * cpu::kPanel, kUntouched);
        tile(kernels, rows, q.data(), stride, row_sums.data(), panel, sums.data());
        bool equal = true;
        for (int row = 0; row <= rows; ++row) {
          for (int o = 0; o < cpu::kPanel; ++o) {
            int64_t expected = row < rows ? 0 : kUntouched;
            for (int i = 0; i < padded && row < rows; ++i) expected += int64_t{w[o * padded + i]} * numbers[row][i];
            equal = equal && sums[row * cpu::kPanel + o] == expected;
          }
        }
        check(equal, std::string(kernels.name) + ": sums of " + std::to_string(rows) + " rows and " +
                         std::to_string(inputs) + " inputs, content " + std::to_string(content));
      }
    }
  }
  // As many inputs as there may be, all at the end of their range.
  const int inputs = cpu::kMostInt8Inputs;
  std::vector<uint8_t> panel(static_cast<size_t>(groups_of(inputs)) * cpu::kInputGroup * cpu::kPanel, 0);
  const std::vector<float> x(inputs, -127.0f);
  std::vector<float> q(groups_of(inputs) * cpu::kInputGroup);
  std::vector<int32_t> sums(cpu::kPanel);
  const cpu::Int8Row row = kernels.quantize(x.data(), inputs, q.data());
  tile(kernels, 1, q.data(), 0, &row.sum, panel, sums.data());
  check(sums[31] == 128 * 127 * inputs, std::string(kernels.name) + ": the largest sum");
}

/// The kernels of every processor round the sums to the same bits.
void finishes_alike() {
  constexpr int kMost = 32;
  Random random(9);
  std::vector<int32_t> sums;
  std::vector<float> scales, bias, before;
  for (int i = 0; i < kMost; ++i) {
    sums.push_back(static_cast<int32_t>(random.bits()) - (1 << 30));
    scales.push_back(static_cast<float>(random.value() / 3));
    bias.push_back(static_cast<float>(random.value() * 1e7 / 3));
    before.push_back(static_cast<float>(random.value() * 1e7 / 7));
  }
  for (const int n : {1, 7, 16, 31, 32}) {
    for (const bool add : {false, true}) {
      for (const cpu::Int8Kernels* kernels : all_kernels()) {
        std::vector<float> y = before;
        kernels->finish(sums.data(), 0.7f, scales.data(), bias.data(), n, add, y.data());
        bool equal = true;
        for (int i = 0; i < kMost; ++i) {
          const volatile float scale = 0.7f * scales[i];  // volatile: rounded at each step, whatever the compiler has
          const volatile float product = static_cast<float>(sums[i]) * scale;
          const volatile float sum = product + bias[i];
          const float expected = i >= n ? before[i] : add ? before[i] + sum : sum;
          equal = equal && y[i] == expected;
        }
        check(equal, std::string(kernels->name) + ": sums to floats");
      }
    }
  }
}

struct Case {
  int rows, out, in;      // of the layer
  int used_out, used_in;  // the prefix
};

constexpr Case kCases[] = {
    {1, 32, 16, 32, 16},     {5, 33, 7, 33, 7},       {6, 64, 48, 16, 48},       {7, 96, 100, 24, 99},
    {11, 70, 31, 48, 13},    {12, 128, 64, 128, 8},   {13, 128, 600, 128, 513},  {49, 40, 72, 17, 72},
    {257, 65, 33, 65, 33},   {3, 20, 2600, 20, 2599}, {150, 70, 2100, 70, 2085}, {260, 260, 70, 260, 70},
    {300, 520, 130, 300, 1},
};

/// Bytes and scales as a file has them.
struct ByteWeights {
  ByteWeights(Random& random, int rows, int columns) : rows(rows), columns(columns) {
    for (int i = 0; i < rows * columns; ++i) values.push_back(static_cast<int8_t>(random.below(256) - 128));
    for (int row = 0; row < rows; ++row) scales.push_back(static_cast<float>((random.value() + 1.5) / 300));
  }
  HostMatrix matrix() const { return {values.data(), DType::i8, rows, columns, scales.data()}; }
  reference::Matrix numbers() const {
    reference::Matrix matrix(rows, columns);
    for (int i = 0; i < rows * columns; ++i) matrix.values[i] = double{scales[i / columns]} * values[i];
    return matrix;
  }
  /// The first rows and columns, with the scales that they have here.
  ByteWeights slice(int first_rows, int first_columns) const {
    ByteWeights slice = *this;
    slice.rows = first_rows;
    slice.columns = first_columns;
    slice.values.clear();
    for (int row = 0; row < first_rows; ++row) {
      const auto begin = values.begin() + row * columns;
      slice.values.insert(slice.values.end(), begin, begin + first_columns);
    }
    return slice;
  }

  int rows, columns;
  std::vector<int8_t> values;
  std::vector<float> scales;
};

/// x as the multiples that products see.
reference::Matrix rounded(const reference::Matrix& x) {
  reference::Matrix result(x.rows, x.columns);
  for (int row = 0; row < x.rows; ++row) {
    std::vector<float> values;
    for (int i = 0; i < x.columns; ++i) values.push_back(static_cast<float>(x.at(row, i)));
    const PlainRow plain(values);
    for (int i = 0; i < x.columns; ++i) result.at(row, i) = double{plain.scale} * plain.q[i];
  }
  return result;
}

enum class Finish { none, gelu, gelu_tanh, silu, add, add_scaled, multiply };
constexpr Finish kFinishes[] = {Finish::none, Finish::gelu,       Finish::gelu_tanh, Finish::silu,
                                Finish::add,  Finish::add_scaled, Finish::multiply};

Activation activation_of(Finish finish) {
  if (finish == Finish::gelu) return Activation::gelu;
  if (finish == Finish::gelu_tanh) return Activation::gelu_tanh;
  return finish == Finish::silu ? Activation::silu : Activation::none;
}

/// A product whose multiples the reference multiplies exactly: what is left are the few roundings at its end.
void multiplies(const std::string& set, Backend& backend, const Case& c, Finish finish) {
  Random random(c.rows + c.out + c.in);
  const ByteWeights weight(random, c.out, c.in);
  const auto x = random.matrix(c.rows, c.used_in), y = random.matrix(c.rows, c.used_out);
  std::vector<double> bias(c.out);
  for (double& value : bias) value = random.value();
  const std::vector<float> biases(bias.begin(), bias.end());
  const std::string what = set + ": " + std::to_string(c.rows) + " x " + std::to_string(c.used_out) + " x " +
                           std::to_string(c.used_in) + ", finish " + std::to_string(static_cast<int>(finish));

  auto stream = backend.stream();
  auto layer = backend.linear(weight.matrix(), biases.data(), kInt8);
  Guarded input(backend, *stream, x), output(backend, *stream, y);
  const RowList list(backend, *stream, rows_of_branches(c.rows, c.rows + 3), c.rows + 3);
  const RandomVectors vectors(backend, *stream, random, 3, c.used_out, c.used_out);
  const BranchScale scale{.scale = vectors.vectors(), .rows = list.rows()};
  const Input residual{*output.buffer};
  const bool adds = finish == Finish::add || finish == Finish::add_scaled;
  stream->run(Matmul{.layer = *layer,
                     .out = c.used_out,
                     .in = c.used_in,
                     .x = {*input.buffer},
                     .rows = c.rows,
                     .activation = activation_of(finish),
                     .residual = adds ? &residual : nullptr,
                     .residual_scale = finish == Finish::add_scaled ? &scale : nullptr,
                     .multiplies = finish == Finish::multiply,
                     .y = *output.buffer});
  check(stream->flops().total() == uint64_t{2} * c.rows * c.used_out * c.used_in, what + ": FLOPs");
  const auto actual = output.read(*stream, c.rows, c.used_out, what);

  reference::Matrix product(c.rows, c.used_out);
  reference::matmul(weight.numbers(), bias, c.used_out, c.used_in, rounded(x), Activation::none, nullptr, product);
  const auto branches = list.branches();
  for (int row = 0; row < c.rows; ++row) {
    for (int o = 0; o < c.used_out; ++o) {
      const double value = product.at(row, o);
      // The sum as a float, the product of the scales, that of both, and the bias: a rounding each.
      double bound = 4 * kUnit * (std::abs(value) + std::abs(bias[o])) + kUnit * std::abs(value);
      double expected = reference::activate(activation_of(finish), value);
      if (activation_of(finish) != Activation::none) bound = 1.13 * bound + (2e-7 + 8 * kUnit) * std::abs(value);
      if (adds) {
        const double factor = finish == Finish::add_scaled ? vectors.values.at(branches[row], o) : 1;
        expected = y.at(row, o) + factor * value;
        bound = std::abs(factor) * bound + 2 * kUnit * (std::abs(expected) + std::abs(factor * value));
      }
      if (finish == Finish::multiply) {
        expected = y.at(row, o) * value;
        bound = std::abs(y.at(row, o)) * bound + 2 * kUnit * std::abs(expected);
      }
      check_near(actual[static_cast<size_t>(row) * output.columns + o], expected, bound, what);
    }
  }
}

std::vector<float> product_of(Backend& backend, const Linear& layer, const reference::Matrix& x, int out, int in) {
  auto stream = backend.stream();
  Guarded input(backend, *stream, x), output(backend, *stream, reference::Matrix(x.rows, out));
  stream->run(Matmul{.layer = layer, .out = out, .in = in, .x = {*input.buffer}, .rows = x.rows, .y = *output.buffer});
  return output.read(*stream, x.rows, out, "a product");
}

/// A prefix of outputs and inputs is the layer that holds the slices, and the sets agree: to the bit.
void a_prefix_is_a_small_layer() {
  for (const Case& c : kCases) {
    std::vector<std::vector<float>> results;
    for (const std::string& set : cpu::instruction_sets()) {
      const auto backend = cpu::open_cpu(2, set);
      Random random(c.in);
      const ByteWeights weight(random, c.out, c.in), slice = weight.slice(c.used_out, c.used_in);
      const auto x = random.matrix(c.rows, c.used_in);
      for (const ByteWeights* one : {&weight, &slice}) {
        results.push_back(
            product_of(*backend, *backend->linear(one->matrix(), nullptr, kInt8), x, c.used_out, c.used_in));
        check(results.back() == results[0], set + ": a prefix is a small layer");
      }
    }
  }
}

/// A row's bits do not depend on the rows beside it, nor on threads.
void a_row_stands_alone() {
  constexpr int kRows = 61, kOut = 96, kIn = 700;
  Random random(3);
  const ByteWeights weight(random, kOut, kIn);
  const auto x = random.matrix(kRows, kIn);
  std::vector<std::vector<float>> results;
  for (const std::string& set : cpu::instruction_sets()) {
    for (const int threads : {1, 2, 3}) {
      const auto backend = cpu::open_cpu(threads, set);
      const auto layer = backend->linear(weight.matrix(), nullptr, kInt8);
      for (const int first : {0, 1, 7, 60}) {
        reference::Matrix part(kRows - first, kIn);
        part.values.assign(x.values.begin() + first * kIn, x.values.end());
        const auto values = product_of(*backend, *layer, part, kOut, kIn);
        const auto last = values.begin() + (part.rows - 1) * (kOut + Guarded::kMoreColumns);
        results.emplace_back(last, last + kOut);
        check(results.back() == results[0], set + ": a row depends on its batch or on threads");
      }
    }
  }
}

/// Queries of a width, and its keys and values in the cache, through attention: those of three products.
void projects_every_width() {
  constexpr int kHeads = 3, kHeadDim = 16, kIn = 40, kPositions = 9;
  for (const std::string& set : cpu::instruction_sets()) {
    const auto backend = cpu::open_cpu(2, set);
    auto stream = backend->stream();
    Random random(8);
    std::array<std::unique_ptr<Linear>, 3> layers;
    for (auto& layer : layers) {
      layer = backend->linear(ByteWeights(random, kHeads * kHeadDim, kIn).matrix(), nullptr, kInt8);
    }
    const RowList list(*backend, *stream, rows_of_branches(kPositions, kPositions), kPositions);
    const auto x = random.matrix(kPositions, kIn);
    for (const int heads : {1, 2, 3}) {
      const int inner = heads * kHeadDim;
      Guarded input(*backend, *stream, x), q(*backend, *stream, reference::Matrix(kPositions, inner));
      const auto cache = backend->kv_cache(1, 3, kHeads, kHeadDim, kPositions);
      stream->run(ProjectQkv{.query = *layers[0],
                             .key = *layers[1],
                             .value = *layers[2],
                             .heads = heads,
                             .head_dim = kHeadDim,
                             .in = kIn,
                             .x = {*input.buffer},
                             .rows = list.rows(),
                             .layer = 0,
                             .cache = *cache,
                             .q = *q.buffer});
      check(q.read(*stream, kPositions, inner, set) == product_of(*backend, *layers[0], x, inner, kIn),
            set + ": queries are the product's");
    }
  }
}

void keeps_what_a_file_says_and_rounds_the_rest() {
  const auto backend = cpu::open_cpu(1, "");
  Random random(4);
  const ByteWeights bytes(random, 40, 24);
  const auto x = random.matrix(5, 24);
  const auto of = [&](const HostMatrix& matrix, WeightFormat format) {
    return product_of(*backend, *backend->linear(matrix, nullptr, format), x, 40, 24);
  };
  // Rows whose largest weight is 127 times the scale are what rounding finds.
  ByteWeights whole = bytes;
  for (int row = 0; row < 40; ++row) whole.values[row * 24 + row % 24] = row % 2 ? 127 : -127;
  for (int8_t& value : whole.values) value = std::max<int8_t>(value, -127);
  std::vector<float> floats;
  for (size_t i = 0; i < whole.values.size(); ++i) floats.push_back(whole.scales[i / 24] * whole.values[i]);
  const HostMatrix as_floats{.data = floats.data(), .dtype = DType::f32, .rows = 40, .columns = 24};
  const auto kept = of(whole.matrix(), kInt8), rounded = of(as_floats, kInt8);
  for (size_t i = 0; i < kept.size(); ++i) check_near(rounded[i], kept[i], 4 * kUnit * std::abs(kept[i]), "rounds");
  check(of(whole.matrix(), kF32) == of(as_floats, kF32), "bytes of a file kept as f32");

  const std::vector<float> zeros(40 * 24);
  const auto none = of({.data = zeros.data(), .dtype = DType::f32, .rows = 40, .columns = 24}, kInt8);
  check(std::all_of(none.begin(), none.end(), [](float y) { return y == 0 || y == kGuard; }), "weights of zero");
}

void refuses() {
  const auto backend = cpu::open_cpu(1, "");
  Random random(4);
  ByteWeights bytes(random, 3, 4);
  bytes.scales[1] = 3e38f;  // of -128 of which there is none
  check(error_of([&] { backend->linear(bytes.matrix(), nullptr, kInt8); }) ==
            "ERR_CHECKPOINT expected scales of finite weights but that of row 1 is not",
        "a scale that is too large");
  bytes.scales[1] = NAN;
  check(error_of([&] { backend->linear(bytes.matrix(), nullptr, kInt8); }).starts_with("ERR_CHECKPOINT"), "no scale");
  std::vector<float> floats(12, 1.0f);
  floats[6] = INFINITY;
  const HostMatrix matrix{.data = floats.data(), .dtype = DType::f32, .rows = 3, .columns = 4};
  check(error_of([&] { backend->linear(matrix, nullptr, kInt8); }) ==
            "ERR_CHECKPOINT expected finite values but [1, 2] is not",
        "a weight that is not finite");
  check(error_of([&] { backend->table(matrix, kInt8); }) ==
            "ERR_UNSUPPORTED expected a table kept as f32 or bf16 but received int8",
        "a table of bytes");
  const std::vector<float> many(cpu::kMostInt8Inputs + 1);
  check(error_of([&] {
          backend->linear({many.data(), DType::f32, 1, cpu::kMostInt8Inputs + 1}, nullptr, kInt8);
        }) == "ERR_UNSUPPORTED expected at most 132104 inputs of weights kept as int8 but received 132105",
        "sums that 32 bits might not hold");
}

void takes_a_quarter_of_the_memory() {
  constexpr int kOut = 256, kIn = 512;
  const std::vector<float> weights(kOut * kIn);
  const auto backend = cpu::open_cpu(2, "");
  const auto bytes_of = [&](WeightFormat format) {
    const int64_t before = live_bytes;
    const auto layer = backend->linear({weights.data(), DType::f32, kOut, kIn}, nullptr, format);
    return live_bytes - before;
  };
  constexpr int64_t kBiases = kOut * sizeof(float), kScales = kOut * sizeof(float), kSlack = 3 * 64;
  check(bytes_of(kF32) >= kOut * kIn * 4, "f32 takes four bytes a weight");
  check(bytes_of(kInt8) <= kOut * kIn + kBiases + kScales + kSlack, "int8 takes a byte a weight, and a scale a row");
}

}  // namespace

int main() {
  for (const cpu::Int8Kernels* kernels : all_kernels()) {
    rounds_rows(*kernels);
    adds_up_exactly(*kernels);
  }
  check(std::string(cpu::available_int8_kernels().back()->name) == "portable",
        "any processor runs the portable kernels");
  finishes_alike();
  for (const std::string& set : cpu::instruction_sets()) {
    const auto backend = cpu::open_cpu(2, set);
    for (const Case& c : kCases) {
      for (const Finish finish : kFinishes) multiplies(set, *backend, c, finish);
    }
  }
  a_prefix_is_a_small_layer();
  a_row_stands_alone();
  projects_every_width();
  keeps_what_a_file_says_and_rounds_the_rest();
  refuses();
  takes_a_quarter_of_the_memory();
  return report("int8");
}
