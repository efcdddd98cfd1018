// Blocks that the class modulates: the whole model against the page that describes it, and what the classes cost.
#include <numeric>

#include "cpu_generations.h"

using namespace magnets;
using namespace magnets::test;

namespace {

/// The vectors of the classes are computed in the first pass of a batch, counted there, and are those of its classes.
void classes_modulate() {
  constexpr Style style = Style::modulated;
  const auto config = config_of(style);
  const auto generator = generator_of(config);
  Session session(generator, options_of(1, 0, true, style));
  const auto pass = [&] {
    const Flops before = session.flops();
    session.compute(kFull, true, false);
    return (session.flops() - before)[Part::projections];
  };
  const uint64_t d = 40, first = pass(), second = pass();
  check(first - second == 2 * 2 * (6 * 2 + 2) * d * d, "FLOPs of modulation");
  const auto of_class_0 = session.logits();
  session.start(options_of(1, 1, true, style));
  check(pass() == first, "FLOPs of modulation in another batch");
  const auto of_class_1 = session.logits();
  const auto half = static_cast<long>(of_class_0.size() / 2);
  check(!std::equal(of_class_0.begin(), of_class_0.begin() + half, of_class_1.begin()), "classes differ");
  check(std::equal(of_class_0.begin() + half, of_class_0.end(), of_class_1.begin() + half), "the null class does not");
  SessionOptions options = options_of(1, 0, false, style);
  options.class_ids[0] = kClasses + 1;
  check(error_of([&] { Session(generator, options); }).starts_with("ERR_INTERNAL"), "a class outside the table");
}

/// The forward pass of docs/checkpoints.md for Style::modulated at a width, from the reference's operations: logits
/// [tokens, V] of one sample.
reference::Matrix modulated_reference(const std::vector<int32_t>& ids, int label, const Width& width) {
  const BlockConfig block = config_of(Style::modulated).transformer.block;
  const int d = block.hidden_size, inner = width.heads * block.head_dim, positions = kTokens + 1;
  NamedNoise noise;
  const auto tensor = [&](const std::string& name, int rows, int columns) {
    const auto* values = static_cast<const float*>(noise.get(name, rows, columns).data);
    reference::Matrix matrix(rows, columns);
    matrix.values.assign(values, values + matrix.values.size());
    return matrix;
  };
  const auto product = [&](const reference::Matrix& x, const std::string& name, int out,
                           const std::vector<double>& bias, Activation activation = Activation::none) {
    reference::Matrix y(x.rows, out);
    reference::matmul(tensor(name + ".weight", out, x.columns), bias, out, x.columns, x, activation, nullptr, y);
    return y;
  };
  const auto without_bias = [&](const reference::Matrix& x, const std::string& name, int out,
                                Activation activation = Activation::none) {
    return product(x, name, out, std::vector<double>(out), activation);
  };
  const auto words = tensor("embeddings.word.weight", mask_of(Style::modulated) + 1, d);
  const auto places = tensor("embeddings.position.weight", positions, d);
  std::vector<int32_t> all(positions);
  std::iota(all.begin(), all.end(), 0);
  auto x = reference::embed(words, places, ids, {kCodebook}, all, nullptr);
  reference::Matrix condition(1, d);
  for (int i = 0; i < d; ++i) {
    condition.at(0, i) =
        reference::activate(Activation::silu, tensor("embeddings.class.weight", kClasses + 1, d).at(label, i));
  }

  // norm(x) * (1 + scale) + shift, and x + gate * y, with the vectors from number `first` on.
  reference::Matrix vectors(1, 0);
  const auto modulate = [&](const std::string& name, int count) {
    vectors = product(condition, name, count * d, tensor(name + ".bias", 1, count * d).values);
  };
  const auto normed = [&](const std::string& name, const std::vector<double>& bias, int first) {
    auto y = reference::normalize(x, {tensor(name + ".weight", 1, d).values, bias, block.norm_eps, block.norm_kind});
    for (int row = 0; row < y.rows; ++row) {
      for (int i = 0; i < d; ++i) {
        y.at(row, i) = y.at(row, i) * (1 + vectors.at(0, (first + 1) * d + i)) + vectors.at(0, first * d + i);
      }
    }
    return y;
  };
  const auto add = [&](const reference::Matrix& y, int gate) {
    for (int row = 0; row < y.rows; ++row) {
      for (int i = 0; i < d; ++i) x.at(row, i) += vectors.at(0, gate * d + i) * y.at(row, i);
    }
  };
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    modulate(layer + "modulation", 6);
    const auto y = normed(layer + "attention.norm", std::vector<double>(d), 0);
    reference::Matrix mixed(positions, inner);
    reference::attention(reference::qk_norm(without_bias(y, layer + "attention.query", inner), block.norm_eps),
                         reference::qk_norm(without_bias(y, layer + "attention.key", inner), block.norm_eps),
                         without_bias(y, layer + "attention.value", inner), width.heads, mixed);
    add(without_bias(mixed, layer + "attention.output", d), 2);
    const auto z = normed(layer + "mlp.norm", std::vector<double>(d), 3);
    auto hidden = without_bias(z, layer + "mlp.gate", width.hidden, block.activation);
    const auto up = without_bias(z, layer + "mlp.up", width.hidden);
    for (size_t i = 0; i < hidden.values.size(); ++i) hidden.values[i] *= up.values[i];
    add(without_bias(hidden, layer + "mlp.down", d), 5);
  }
  modulate("modulation", 2);
  const auto last = normed("norm", tensor("norm.bias", 1, d).values, 0);
  reference::Matrix logits(positions, words.rows);
  reference::matmul(words, tensor("head.bias", 1, words.rows).values, words.rows, d, last, Activation::none, nullptr,
                    logits);
  logits.values.erase(logits.values.begin(), logits.values.begin() + words.rows);  // of the register
  --logits.rows;
  return logits;
}

void a_modulated_model_is_what_its_page_says() {
  const auto generator = generator_of(Style::modulated);
  std::vector<int32_t> ids(kTokens);
  for (int i = 0; i < kTokens; ++i) ids[i] = i % 3 == 0 ? mask_of(Style::modulated) : i * 7 % kCodebook;
  for (const int label : {1, kClasses}) {
    for (const Width& width : {kFull, {3, 33}, {1, 10}}) {
      const auto expected = modulated_reference(ids, label, width);
      const auto actual = forward(generator, ids, {label}, width).logits;
      double most = 0, error = 0;
      for (size_t i = 0; i < actual.size(); ++i) {
        most = std::max(most, std::abs(expected.values[i]));
        error = std::max(error, std::abs(expected.values[i] - actual[i]));
      }
      // Two layers chain about ten sums of up to 64 products, each of which loses sqrt(64) roundings typically.
      check(actual.size() == expected.values.size(), "as many logits");
      check_near(error, 0, 10 * 8 * kUnit * most, "logits of a modulated model");
    }
  }
}

}  // namespace

int main() {
  classes_modulate();
  a_modulated_model_is_what_its_page_says();
  return report("modulation");
}
