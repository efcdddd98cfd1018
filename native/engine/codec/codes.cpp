#include "codes.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

namespace magnets {

void check_size(size_t actual, int count, size_t size) {
  const size_t expected = static_cast<size_t>(std::max(0, count)) * size;
  if (count > 0 && actual == expected) return;
  throw Error("ERR_INTERNAL",
              "expected " + std::to_string(expected) + " values but received " + std::to_string(actual));
}

void check_tokens(const std::vector<int32_t>& tokens, int count, int positions, int codebook_size) {
  check_size(tokens.size(), count, positions);
  const bool valid =
      std::all_of(tokens.begin(), tokens.end(), [&](int32_t token) { return token >= 0 && token < codebook_size; });
  if (!valid) throw Error("ERR_INTERNAL", "expected tokens below " + std::to_string(codebook_size));
}

void clamp_pixels(std::vector<float>& pixels, size_t size) {
  for (size_t i = 0; i < pixels.size(); ++i) {
    if (!std::isfinite(pixels[i])) {
      throw Error("ERR_NUMERIC", "expected finite pixels but some of sample " + std::to_string(i / size) +
                                     " are not: numbers of the tokenizer overflow");
    }
    pixels[i] = std::clamp(pixels[i], 0.0f, 1.0f);
  }
}

void check_latents(const std::vector<float>& latents, size_t columns) {
  const auto wrong = std::find_if(latents.begin(), latents.end(), [](float value) { return !std::isfinite(value); });
  if (wrong == latents.end()) return;
  throw Error("ERR_NUMERIC", "expected finite latents but those of token " +
                                 std::to_string((wrong - latents.begin()) / columns) +
                                 " are not: numbers of the tokenizer overflow");
}

std::vector<float> negative_half_norms(const std::vector<float>& codebook, int dim) {
  std::vector<float> norms;
  for (auto code = codebook.begin(); code != codebook.end(); code += dim) {
    norms.push_back(static_cast<float>(-0.5 * std::inner_product(code, code + dim, code, 0.0)));
  }
  return norms;
}

std::vector<float> normalized_codes(std::vector<float> codebook, int dim) {
  constexpr double kLeast = 1e-12;  // of PyTorch's F.normalize, which a code of zeros needs
  for (auto code = codebook.begin(); code != codebook.end(); code += dim) {
    const double norm = std::max(kLeast, std::sqrt(std::inner_product(code, code + dim, code, 0.0)));
    std::transform(code, code + dim, code, [&](float value) { return static_cast<float>(value / norm); });
  }
  return codebook;
}

std::vector<float> sign_codes(int bits) {
  std::vector<float> codes;
  codes.reserve((size_t{1} << bits) * bits);
  for (int code = 0; code < 1 << bits; ++code) {
    for (int bit = 0; bit < bits; ++bit) codes.push_back((code >> bit & 1) != 0 ? 1.0f : -1.0f);
  }
  return codes;
}

std::vector<float> project_codes(const std::vector<float>& codebook, int dim, const std::vector<float>& weight,
                                 const std::vector<float>& bias) {
  std::vector<float> table;
  table.reserve(codebook.size() / dim * bias.size());
  for (auto code = codebook.begin(); code != codebook.end(); code += dim) {
    for (size_t i = 0; i < bias.size(); ++i) {
      const double product = std::inner_product(code, code + dim, weight.begin() + i * dim, 0.0);
      table.push_back(static_cast<float>(product + bias[i]));
    }
  }
  return table;
}

}  // namespace magnets
