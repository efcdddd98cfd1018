#include <algorithm>
#include <cmath>

#include "reference.h"

namespace magnets::reference {

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

}  // namespace magnets::reference
