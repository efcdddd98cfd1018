#include "reference.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "../philox.h"

namespace magnets::reference {

double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }

double gelu_tanh(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }

void linear(const Matrix& weight, const std::vector<double>& bias, int out, int in, const Matrix& x, Epilogue epilogue,
            Matrix& y) {
  for (int row = 0; row < x.rows; ++row) {
    for (int o = 0; o < out; ++o) {
      double sum = bias[o];
      for (int i = 0; i < in; ++i) sum += x.at(row, i) * weight.at(o, i);
      if (epilogue == Epilogue::add) sum += y.at(row, o);
      if (epilogue == Epilogue::gelu) sum = gelu(sum);
      if (epilogue == Epilogue::gelu_tanh) sum = gelu_tanh(sum);
      y.at(row, o) = sum;
    }
  }
}

void layer_norm(const Matrix& x, const std::vector<double>& weight, const std::vector<double>& bias, double epsilon,
                Matrix& y) {
  for (int row = 0; row < x.rows; ++row) {
    double mean = 0, variance = 0;
    for (int i = 0; i < x.columns; ++i) mean += x.at(row, i) / x.columns;
    for (int i = 0; i < x.columns; ++i) variance += std::pow(x.at(row, i) - mean, 2) / x.columns;
    for (int i = 0; i < x.columns; ++i) {
      y.at(row, i) = (x.at(row, i) - mean) / std::sqrt(variance + epsilon) * weight[i] + bias[i];
    }
  }
}

void attention(const Matrix& q, const Matrix& keys, const Matrix& values, int heads, Matrix& out) {
  const int head_dim = q.columns / heads;
  for (int row = 0; row < q.rows; ++row) {
    for (int head = 0; head < heads; ++head) {
      const int first = head * head_dim;
      std::vector<double> score(keys.rows);
      for (int key = 0; key < keys.rows; ++key) {
        for (int i = 0; i < head_dim; ++i) score[key] += q.at(row, first + i) * keys.at(key, first + i);
        score[key] /= std::sqrt(head_dim);
      }
      const double most = *std::max_element(score.begin(), score.end());
      double sum = 0;
      for (double& value : score) sum += value = std::exp(value - most);
      for (int i = 0; i < head_dim; ++i) {
        double mixed = 0;
        for (int key = 0; key < keys.rows; ++key) mixed += score[key] / sum * values.at(key, first + i);
        out.at(row, first + i) = mixed;
      }
    }
  }
}

Scores sample(const std::vector<double>& with, const std::vector<double>& without, const Sampling& sampling,
              uint32_t position, uint32_t sample_key, uint64_t seed) {
  const int n = sampling.codebook_size;
  const double w = sampling.guided ? sampling.guidance : 0;
  std::vector<double> logits(n);
  for (int i = 0; i < n; ++i) logits[i] = (1 + w) * with[i] - w * (sampling.guided ? without[i] : 0);

  Scores scores;
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - most);
  for (const double logit : logits) scores.log_probability.push_back(logit - most - std::log(sum));

  const auto gumbel = [](uint32_t bits) { return -std::log(-std::log(((bits >> 9) + 0.5) / 8388608.0)); };
  std::vector<double> sorted = logits;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const double least = sampling.top_k > 0 && sampling.top_k < n ? sorted[sampling.top_k - 1] : -INFINITY;
  for (int i = 0; i < n; ++i) {
    const uint32_t bits = philox({static_cast<uint32_t>(i / 4), position, sampling.step, sample_key}, seed)[i % 4];
    const double score = sampling.temperature == 0 ? logits[i] : logits[i] / sampling.temperature + gumbel(bits);
    scores.choice.push_back(logits[i] >= least ? score : -INFINITY);
  }
  scores.choice_noise = gumbel(philox({kChoiceBlock, position, sampling.step, sample_key}, seed)[0]);
  return scores;
}

}  // namespace magnets::reference
