// Matrix products against the reference: odd sizes, every prefix, each format of weights, guard values, activations and
// f32 as output, norms of the input and of the residual, and a row's result independent of its surroundings and of
// threads.
#include "check.h"

using namespace magnets;
using namespace magnets::test;

namespace {

struct Case {
  int rows, out, in;      // of the layer
  int used_out, used_in;  // the prefix
};

constexpr Case kCases[] = {
    {1, 32, 16, 32, 16},       {5, 33, 7, 33, 7},         {6, 64, 48, 16, 48},      {7, 96, 100, 24, 100},
    {11, 70, 31, 48, 13},      {12, 128, 64, 128, 8},     {13, 128, 600, 128, 513}, {49, 40, 72, 17, 72},
    {257, 65, 33, 65, 33},     {150, 48, 1030, 48, 1030}, {3, 20, 640, 20, 640},    {260, 260, 70, 260, 70},
    {300, 520, 130, 300, 130},
};
/// Enough tiles for all multiprocessors of a large GPU, so that it chooses its kernels by itself.
constexpr Case kLarge = {1100, 2025, 200, 2025, 200};

struct Kind {
  Activation activation;
  bool residual;
};
constexpr Kind kKinds[] = {{Activation::none, false},      {Activation::none, true},  {Activation::gelu, false},
                           {Activation::gelu_tanh, false}, {Activation::silu, false}, {Activation::tanh, false}};

void compare(const Subject& subject, Backend& backend, const Case& c, WeightFormat format, const Kind& kind,
             ElementType type, const std::string& what) {
  Random random(c.rows + c.out + c.in);
  const auto weight = random.matrix(c.out, c.in);
  const auto x = random.matrix(c.rows, c.used_in);
  auto y = random.matrix(c.rows, c.used_out);
  std::vector<double> bias(c.out);
  for (double& value : bias) value = random.value();
  const std::vector<float> weights = to_floats(weight), biases(bias.begin(), bias.end());

  auto stream = backend.stream();
  auto layer = backend.linear({weights.data(), DType::f32, c.out, c.in}, biases.data(), format);
  Guarded input(backend, *stream, x), output(backend, *stream, y, type);
  const Input residual{*output.buffer};
  const int times = kind.residual ? 2 : 1;  // a second one must not meet what the first leaves behind
  for (int i = 0; i < times; ++i) {
    const PartScope scope(*stream, Part::mlp);
    stream->run(Matmul{.layer = *layer,
                       .out = c.used_out,
                       .in = c.used_in,
                       .x = {*input.buffer},
                       .rows = c.rows,
                       .activation = kind.activation,
                       .residual = kind.residual ? &residual : nullptr,
                       .y = *output.buffer});
  }
  const auto actual = output.read(*stream, c.rows, c.used_out, what);
  Flops expected_flops;
  expected_flops[Part::mlp] = uint64_t{2} * times * c.rows * c.used_out * c.used_in;
  check(stream->flops() == expected_flops, what + ": FLOPs");

  const auto before = y;
  for (int i = 0; i < times; ++i) {
    reference::matmul(weight, bias, c.used_out, c.used_in, x, kind.activation, kind.residual ? &y : nullptr, y);
  }
  for (int row = 0; row < c.rows; ++row) {
    for (int o = 0; o < c.used_out; ++o) {
      const double old = kind.residual ? std::abs(before.at(row, o)) : 0;
      double magnitude = std::abs(bias[o]);
      for (int i = 0; i < c.used_in; ++i) magnitude += std::abs(x.at(row, i) * weight.at(o, i));
      magnitude = times * magnitude + old;
      // A sum of n rounded products errs by at most n units of its magnitude; the slope of GELU and SiLU is below 1.13
      // and their approximation errs by 1e-7 of |x| (kernels.inl), or as the subject says, and a few roundings. That of
      // tanh is at most 1.
      double bound = (c.used_in + 2 + times) * kUnit * magnitude;
      if (kind.activation == Activation::tanh) {
        bound += 2e-7 + subject.tanh_error() + 8 * kUnit;
      } else if (kind.activation != Activation::none) {
        const double error = kind.activation == Activation::gelu_tanh ? subject.tanh_error() / 2 : 0;  // of |x|
        bound = 1.13 * bound + (2e-7 + error + 8 * kUnit) * magnitude;
      }
      // The result is rounded, and so is what is half way to it.
      if (type == ElementType::activation) {
        const double after = std::abs(y.at(row, o)) + bound;
        bound += subject.roundoff(after) + (times - 1) * subject.roundoff((old + after) / 2);
      }
      check_near(actual[static_cast<size_t>(row) * output.columns + o], y.at(row, o), bound, what);
    }
  }
}

/// A product that is scaled by its branch's vector before it is added to the residual, or that multiplies y.
void combines(const Subject& subject, Backend& backend, const Case& c, bool scales) {
  Random random(c.rows * 3 + c.out + c.in);
  const auto weight = random.matrix(c.out, c.in);
  const auto x = random.matrix(c.rows, c.used_in), y = random.matrix(c.rows, c.used_out);
  std::vector<double> bias(c.out);
  for (double& value : bias) value = random.value();
  const std::vector<float> biases(bias.begin(), bias.end());
  const std::string what = subject.name() + (scales ? ": scaled, " : ": multiplies, ") + std::to_string(c.rows) +
                           " x " + std::to_string(c.used_out) + " x " + std::to_string(c.used_in);

  auto stream = backend.stream();
  auto layer = backend.linear({to_floats(weight).data(), DType::f32, c.out, c.in}, biases.data(), subject.formats()[0]);
  Guarded input(backend, *stream, x), output(backend, *stream, y);
  const RowList list(backend, *stream, rows_of_branches(c.rows, c.rows + 3), c.rows + 3);
  const RandomVectors vectors(backend, *stream, random, 3, c.used_out, c.used_out);
  const BranchScale scale{.scale = vectors.vectors(), .rows = list.rows()};
  const Input residual{*output.buffer};
  stream->run(Matmul{.layer = *layer,
                     .out = c.used_out,
                     .in = c.used_in,
                     .x = {*input.buffer},
                     .rows = c.rows,
                     .residual = scales ? &residual : nullptr,
                     .residual_scale = scales ? &scale : nullptr,
                     .multiplies = !scales,
                     .y = *output.buffer});
  const auto actual = output.read(*stream, c.rows, c.used_out, what);

  reference::Matrix product(c.rows, c.used_out);
  reference::matmul(weight, bias, c.used_out, c.used_in, x, Activation::none, nullptr, product);
  const auto branches = list.branches();
  for (int row = 0; row < c.rows; ++row) {
    for (int o = 0; o < c.used_out; ++o) {
      double magnitude = std::abs(bias[o]);
      for (int i = 0; i < c.used_in; ++i) magnitude += std::abs(x.at(row, i) * weight.at(o, i));
      const double factor = scales ? vectors.values.at(branches[row], o) : y.at(row, o);
      const double expected = factor * product.at(row, o) + (scales ? y.at(row, o) : 0);
      double bound = (c.used_in + 3) * kUnit * magnitude * std::abs(factor) + 2 * kUnit * std::abs(expected);
      bound += subject.roundoff(std::abs(expected) + bound);
      check_near(actual[static_cast<size_t>(row) * output.columns + o], expected, bound, what);
    }
  }
}

/// Norms that the input and the residual carry: those of the reference, and of Normalize and the plain operation.
void norms(const Subject& subject, Backend& backend, int rows, int out, int in, bool of_input, bool of_residual) {
  Random random(rows + out + in);
  const auto weight = random.matrix(out, in);
  const std::vector<double> bias(out, 0.25);
  const std::vector<float> biases(out, 0.25f);
  const auto x = random.matrix(rows, in), y = random.matrix(rows, out);
  auto stream = backend.stream();
  auto layer = backend.linear({to_floats(weight).data(), DType::f32, out, in}, biases.data(), subject.formats()[0]);
  const RandomNorm input_norm(backend, *stream, random, in), residual_norm(backend, *stream, random, out);
  const std::string what = subject.name() + ": Matmul, norms of the input " + std::to_string(of_input) +
                           ", of the residual " + std::to_string(of_residual);

  std::vector<std::vector<float>> results;
  for (const bool apart : {false, true}) {
    Guarded input(backend, *stream, x), written(backend, *stream, x), output(backend, *stream, y);
    Input rows_in{*input.buffer}, residual{*output.buffer};
    if (of_input) rows_in.norm = &input_norm.norm;
    if (of_residual) residual.norm = &residual_norm.norm;
    if (apart && of_input) {
      rows_in = stream->run(
          Normalize{.x = *input.buffer, .norm = input_norm.norm, .rows = rows, .columns = in, .y = *written.buffer});
    }
    if (apart && of_residual) {
      residual = stream->run(Normalize{
          .x = *output.buffer, .norm = residual_norm.norm, .rows = rows, .columns = out, .y = *output.buffer});
    }
    stream->run(Matmul{
        .layer = *layer, .out = out, .in = in, .x = rows_in, .rows = rows, .residual = &residual, .y = *output.buffer});
    results.push_back(output.read(*stream, rows, out, what));
    const auto after = input.read(*stream, rows, in, what);
    bool unchanged = true;
    for (int row = 0; row < rows; ++row) {
      for (int i = 0; i < in; ++i) unchanged = unchanged && after[row * input.columns + i] == x.at(row, i);
    }
    check(unchanged, what + ": the input has changed");
  }
  if (subject.same_bits()) check(results[0] == results[1], what + ": not the bits of Normalize");

  const auto normal_x = of_input ? reference::normalize(x, input_norm.values) : x;
  const auto normal_y = of_residual ? reference::normalize(y, residual_norm.values) : y;
  reference::Matrix expected(rows, out);
  reference::matmul(weight, bias, out, in, normal_x, Activation::none, &normal_y, expected);
  for (int row = 0; row < rows; ++row) {
    std::vector<double> input_error(in);
    for (int i = 0; i < in && of_input; ++i) {  // a normalized row may be rounded to activations before the product
      input_error[i] = norm_bound(x, input_norm.values, row, i) + subject.roundoff(normal_x.at(row, i));
    }
    for (int o = 0; o < out; ++o) {
      double magnitude = std::abs(bias[o]) + std::abs(normal_y.at(row, o)), bound = 0;
      for (int i = 0; i < in; ++i) {
        magnitude += std::abs(normal_x.at(row, i) * weight.at(o, i));
        bound += input_error[i] * std::abs(weight.at(o, i));
      }
      if (of_residual) bound += norm_bound(y, residual_norm.values, row, o) + subject.roundoff(normal_y.at(row, o));
      bound += (in + 3) * kUnit * magnitude;
      bound += subject.roundoff(std::abs(expected.at(row, o)) + bound);
      for (const auto& result : results) {
        check_near(result[static_cast<size_t>(row) * (out + Guarded::kMoreColumns) + o], expected.at(row, o), bound,
                   what);
      }
    }
  }
}

/// A product and a norm of what it wrote, at once, in place or to another buffer: the norm of what it writes alone.
void norm_of_sums(const Subject& subject, Backend& backend, int rows, int out, bool adds, bool in_place) {
  constexpr int kIn = 40;
  Random random(rows + out);
  const auto weight = random.matrix(out, kIn), x = random.matrix(rows, kIn);
  auto y = random.matrix(rows, out);
  for (double& value : y.values) value = subject.rounded(value + (adds ? 100 : 0));  // a mean that may cancel
  auto stream = backend.stream();
  auto layer = backend.linear({to_floats(weight).data(), DType::f32, out, kIn}, nullptr, subject.formats()[0]);
  const RandomNorm norm(backend, *stream, random, out);
  const std::string what = subject.name() + ": the norm of a product's sums, " + std::to_string(rows) + " x " +
                           std::to_string(out) + (in_place ? ", in place" : "");
  Guarded input(backend, *stream, x), alone(backend, *stream, y), both(backend, *stream, y),
      other(backend, *stream, reference::Matrix(rows, out));
  const auto product = [&](Guarded& to, const Input& residual) {
    return Matmul{.layer = *layer,
                  .out = out,
                  .in = kIn,
                  .x = {*input.buffer},
                  .rows = rows,
                  .activation = adds ? Activation::none : Activation::gelu,
                  .residual = adds ? &residual : nullptr,
                  .y = *to.buffer};
  };
  const Input of_alone{*alone.buffer}, of_both{*both.buffer};
  stream->run(product(alone, of_alone));
  const Flops once = stream->flops();
  Guarded& to = in_place ? both : other;
  const Input answer =
      stream->run(product(both, of_both),
                  Normalize{.x = *both.buffer, .norm = norm.norm, .rows = rows, .columns = out, .y = *to.buffer});
  check(answer.norm == nullptr && &answer.x.get() == to.buffer.get(), what + ": the answer");
  check(stream->flops() - once == once, what + ": FLOPs");
  const auto sums = alone.read(*stream, rows, out, what), actual = to.read(*stream, rows, out, what);
  reference::Matrix read(rows, out);
  for (int row = 0; row < rows; ++row) {
    for (int o = 0; o < out; ++o) read.at(row, o) = sums[static_cast<size_t>(row) * alone.columns + o];
  }
  const auto expected = reference::normalize(read, norm.values);
  for (int row = 0; row < rows; ++row) {
    for (int o = 0; o < out; ++o) {
      const double bound = norm_bound(read, norm.values, row, o) + subject.roundoff(expected.at(row, o));
      check_near(actual[static_cast<size_t>(row) * to.columns + o], expected.at(row, o), bound, what);
    }
  }
}

/// The same rows alone, at another place of a larger batch, and with other numbers of threads: the same bits.
void same_bits(const Subject& subject) {
  constexpr int kRows = 61, kOut = 96, kIn = 700;
  Random random(3);
  const auto weights = to_floats(random.matrix(kOut, kIn));
  const auto x = random.matrix(kRows, kIn);
  std::vector<std::vector<float>> results;
  for (const int threads : {1, 2, 3}) {
    auto backend = subject.open(threads);
    auto stream = backend->stream();
    auto layer = backend->linear({weights.data(), DType::f32, kOut, kIn}, nullptr, subject.formats()[0]);
    for (const int first : {0, 1, 7, 60}) {
      reference::Matrix part(kRows - first, kIn);
      part.values.assign(x.values.begin() + first * kIn, x.values.end());
      Guarded input(*backend, *stream, part), output(*backend, *stream, reference::Matrix(part.rows, kOut));
      stream->run(Matmul{.layer = *layer,
                         .out = kOut,
                         .in = kIn,
                         .x = {*input.buffer},
                         .rows = part.rows,
                         .activation = Activation::gelu,
                         .y = *output.buffer});
      const auto values = output.read(*stream, part.rows, kOut, "same bits");
      results.emplace_back(values.begin() + (part.rows - 1) * output.columns,
                           values.begin() + (part.rows - 1) * output.columns + kOut);
    }
  }
  for (const auto& result : results)
    check(result == results[0], subject.name() + ": a row depends on batch or threads");
}

/// Linear layers and tables check each weight, as it is and as it is kept.
void refuses_what_is_not_finite(Backend& backend, WeightFormat format) {
  const auto refusals = [&](float value) {
    std::vector<float> weights(40 * 3);
    weights[7 * 3 + 1] = value;
    weights[9 * 3 + 2] = value;  // the first that is wrong is the one that is named
    const HostMatrix matrix{.data = weights.data(), .dtype = DType::f32, .rows = 40, .columns = 3};
    return std::vector{error_of([&] { backend.linear(matrix, nullptr, format); }),
                       error_of([&] { backend.table(matrix, format); })};
  };
  for (const std::string& refusal : refusals(NAN)) {
    check(refusal == "ERR_CHECKPOINT expected finite values but [7, 1] is not", "not finite: " + refusal);
  }
  for (const std::string& refusal : refusals(3.4e38f)) {  // above the largest bf16 and f16
    if (format.values == WeightFormat::Values::f32) {
      check(refusal.empty(), "refused what f32 holds: " + refusal);
    } else {
      check(refusal.starts_with("ERR_CHECKPOINT expected values within the range of ") &&
                refusal.ends_with(" but [7, 1] is not"),
            "not finite once rounded: " + refusal);
    }
  }
}

}  // namespace

int main() {
  for (const auto& subject : subjects(Variety::devices)) {
    auto backend = subject->open();
    for (const Case& c : kCases) {
      for (const WeightFormat format : subject->formats()) {
        for (const Kind& kind : kKinds) {
          for (const ElementType type : {ElementType::activation, ElementType::f32}) {
            const bool in_registers = kind.activation != Activation::none;  // what an activation does
            if (subject->slow() && type == ElementType::f32 && in_registers) continue;
            if (subject->watched() && in_registers) continue;
            compare(*subject, *backend, c, format, kind, type,
                    subject->name() + " " + std::to_string(c.rows) + " x " + std::to_string(c.used_out) + " x " +
                        std::to_string(c.used_in));
          }
        }
      }
    }
    for (const bool scales : {true, false}) {
      if (subject->watched() && !scales) continue;  // the memory of a residual
      for (const Case& c : kCases) combines(*subject, *backend, c, scales);
      if (subject->large()) combines(*subject, *backend, kLarge, scales);
    }
    if (subject->large()) {
      compare(*subject, *backend, kLarge, subject->formats()[0], {Activation::none, true}, ElementType::activation,
              "large");
    }
    for (const bool of_input : {false, true}) {
      for (const bool of_residual : {false, true}) {
        norms(*subject, *backend, 3, 33, 24, of_input, of_residual);
        norms(*subject, *backend, 50, 72, 104, of_input, of_residual);
      }
    }
    for (const bool adds : {false, true}) {
      norm_of_sums(*subject, *backend, 5, 40, adds, true);
      norm_of_sums(*subject, *backend, 70, 201, adds, true);
      norm_of_sums(*subject, *backend, 70, 72, adds, false);
    }
    if (subject->same_bits()) same_bits(*subject);
    for (const WeightFormat format : subject->formats()) refuses_what_is_not_finite(*backend, format);
  }
  return report("matmul");
}
