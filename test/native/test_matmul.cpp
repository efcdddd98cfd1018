// Linear layers against the reference: odd sizes, every prefix, each way to keep weights, guard values, activations and
// f32 as output, and a row's result independent of its surroundings and of threads.
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

void compare(const Subject& subject, Backend& backend, const Case& c, DType dtype, Epilogue epilogue, ElementType type,
             const std::string& what) {
  Random random(c.rows + c.out + c.in);
  const auto weight = random.matrix(c.out, c.in);
  const auto x = random.matrix(c.rows, c.used_in);
  auto y = random.matrix(c.rows, c.used_out);
  std::vector<double> bias(c.out);
  for (double& value : bias) value = random.value();
  const std::vector<float> weights = to_floats(weight), biases(bias.begin(), bias.end());

  auto stream = backend.stream();
  auto layer = backend.linear({weights.data(), DType::f32, c.out, c.in}, biases.data(), dtype);
  Guarded input(backend, *stream, x), output(backend, *stream, y, type);
  const int times = epilogue == Epilogue::add ? 2 : 1;  // a second one must not meet what the first leaves behind
  for (int i = 0; i < times; ++i) {
    stream->linear(*layer, c.used_out, c.used_in, *input.buffer, c.rows, epilogue, Part::mlp, *output.buffer);
  }
  const auto actual = output.read(*stream, c.rows, c.used_out, what);
  check(stream->flops.by_part[static_cast<size_t>(Part::mlp)] == uint64_t{2} * times * c.rows * c.used_out * c.used_in,
        what + ": FLOPs");

  const auto before = y;
  for (int i = 0; i < times; ++i) reference::linear(weight, bias, c.used_out, c.used_in, x, epilogue, y);
  for (int row = 0; row < c.rows; ++row) {
    for (int o = 0; o < c.used_out; ++o) {
      const double old = epilogue == Epilogue::add ? std::abs(before.at(row, o)) : 0;
      double magnitude = std::abs(bias[o]);
      for (int i = 0; i < c.used_in; ++i) magnitude += std::abs(x.at(row, i) * weight.at(o, i));
      magnitude = times * magnitude + old;
      // A sum of n rounded products errs by at most n units of its magnitude; GELU's slope is below 1.13 and its
      // approximation errs by 1e-7 of |x| (kernels.inl) and a few roundings.
      double bound = (c.used_in + 2 + times) * kUnit * magnitude;
      if (epilogue == Epilogue::gelu || epilogue == Epilogue::gelu_tanh) {
        bound = 1.13 * bound + 2e-7 * magnitude + 8 * kUnit * magnitude;
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
    auto layer = backend->linear({weights.data(), DType::f32, kOut, kIn}, nullptr, DType::f32);
    for (const int first : {0, 1, 7, 60}) {
      reference::Matrix part(kRows - first, kIn);
      part.values.assign(x.values.begin() + first * kIn, x.values.end());
      Guarded input(*backend, *stream, part), output(*backend, *stream, reference::Matrix(part.rows, kOut));
      stream->linear(*layer, kOut, kIn, *input.buffer, part.rows, Epilogue::gelu, Part::mlp, *output.buffer);
      const auto values = output.read(*stream, part.rows, kOut, "same bits");
      results.emplace_back(values.begin() + (part.rows - 1) * output.columns,
                           values.begin() + (part.rows - 1) * output.columns + kOut);
    }
  }
  for (const auto& result : results)
    check(result == results[0], subject.name() + ": a row depends on batch or threads");
}

void refuses_what_is_not_finite(Backend& backend, DType dtype) {
  std::vector<float> weights(40 * 3);
  weights[7 * 3 + 1] = NAN;
  std::string message;
  try {
    backend.linear({weights.data(), DType::f32, 40, 3}, nullptr, dtype);
  } catch (const Error& error) {
    message = error.code + " " + error.what();
  }
  check(message == "ERR_CHECKPOINT expected finite values but [7, 1] is not", "not finite: " + message);
}

}  // namespace

int main() {
  for (const auto& subject : subjects(Variety::devices)) {
    auto backend = subject->open();
    for (const Case& c : kCases) {
      for (const DType dtype : subject->dtypes()) {
        for (const Epilogue epilogue : {Epilogue::store, Epilogue::add, Epilogue::gelu, Epilogue::gelu_tanh}) {
          for (const ElementType type : {ElementType::activation, ElementType::f32}) {
            const bool gelu = epilogue == Epilogue::gelu || epilogue == Epilogue::gelu_tanh;
            if (subject->slow() && type == ElementType::f32 && gelu) continue;
            compare(*subject, *backend, c, dtype, epilogue, type,
                    subject->name() + " " + std::to_string(c.rows) + " x " + std::to_string(c.used_out) + " x " +
                        std::to_string(c.used_in));
          }
        }
      }
    }
    if (subject->large()) {
      compare(*subject, *backend, kLarge, subject->dtypes()[0], Epilogue::add, ElementType::activation, "large");
    }
    if (subject->same_bits()) same_bits(*subject);
    refuses_what_is_not_finite(*backend, subject->dtypes()[0]);
  }
  return report("linear");
}
