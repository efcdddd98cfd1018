#include "modulation.h"

namespace magnets {

std::unique_ptr<Linear> load_modulation(Loader& loader, const std::string& name, const std::vector<std::string>& norms,
                                        bool have_bias, int parts, int d) {
  const int out = static_cast<int>(norms.size()) * parts * d;
  std::vector<float> weight = loader.values(name + ".weight", {out, d});
  std::vector<float> bias = loader.values(name + ".bias", {out});
  for (size_t norm = 0; norm < norms.size(); ++norm) {
    const std::vector<float> own_weight = loader.values(norms[norm] + ".weight", {d});
    std::vector<float> own_bias(own_weight.size());
    if (have_bias) own_bias = loader.values(norms[norm] + ".bias", {d});
    // (n w + b) (1 + scale) + shift = n (w + w scale) + (shift + b + b scale)
    for (size_t i = 0; i < own_weight.size(); ++i) {
      const size_t shift_row = (norm * parts + kShiftPart) * d + i, weight_row = (norm * parts + kWeightPart) * d + i;
      bias[shift_row] += own_bias[i] * (1 + bias[weight_row]);
      bias[weight_row] = own_weight[i] * (1 + bias[weight_row]);
      float* shift = &weight[shift_row * d];
      float* scale = &weight[weight_row * d];
      for (int j = 0; j < d; ++j) {
        shift[j] += own_bias[i] * scale[j];
        scale[j] *= own_weight[i];
      }
    }
  }
  return loader.linear(weight, bias, out, d);
}

}  // namespace magnets
