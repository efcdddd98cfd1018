// Random weights large enough that logits differ: those of a benchmark give nearly uniform ones.
#pragma once

#include "../../native/engine/weights/source.h"

namespace magnets::test {

class LargeWeights : public WeightSource {
 public:
  HostMatrix get(const std::string& name, int rows, int columns) override {
    const HostMatrix small = random_.get(name, rows, columns);
    if (name.find("norm") != std::string::npos) return small;
    const auto* from = static_cast<const float*>(small.data);
    values_.assign(from, from + static_cast<size_t>(rows) * columns);
    for (float& value : values_) value *= 8;
    return {values_.data(), DType::f32, rows, columns};
  }

 private:
  RandomWeights random_{11};
  std::vector<float> values_;
};

}  // namespace magnets::test
