// What the operations of native/ops mean, as plain loops in double precision, one operation a file. For tests only.
#pragma once

#include <cstdint>
#include <vector>

#include "../../ops/conv_ops.h"
#include "../../ops/decode_ops.h"

namespace magnets::reference {

/// Row-major [rows, columns].
struct Matrix {
  Matrix(int rows, int columns) : rows(rows), columns(columns), values(static_cast<size_t>(rows) * columns) {}
  double& at(int row, int column) { return values[static_cast<size_t>(row) * columns + column]; }
  double at(int row, int column) const { return values[static_cast<size_t>(row) * columns + column]; }
  int rows, columns;
  std::vector<double> values;
};

/// The numbers of a magnets::Norm; without a bias zeros.
struct NormValues {
  std::vector<double> weight, bias;
  double epsilon;
  NormKind kind = NormKind::layer_norm;
};

double activate(Activation activation, double x);

/// y[:x.rows, :out] = activation(x[:, :in] · W[:out, :in]ᵀ + b[:out]), or with a residual residual + that. The residual
/// may be y.
void matmul(const Matrix& weight, const std::vector<double>& bias, int out, int in, const Matrix& x,
            Activation activation, const Matrix* residual, Matrix& y);

/// Each row of x under the norm.
Matrix normalize(const Matrix& x, const NormValues& norm);

/// Each row r of x under a norm * weight[branch[r]] + shift[branch[r]]; weight and shift [branches, x.columns].
Matrix modulated_norm(const Matrix& x, NormKind kind, double epsilon, const Matrix& weight, const Matrix& shift,
                      const std::vector<int>& branch);

/// Each row of x divided by its root mean square.
Matrix qk_norm(const Matrix& x, double epsilon);

/// Attention of one branch: q [rows, heads * head_dim], keys and values [S, heads * head_dim].
void attention(const Matrix& q, const Matrix& keys, const Matrix& values, int heads, Matrix& out);

/// The rows of x that `index` lists.
Matrix gather(const Matrix& x, const std::vector<int32_t>& index);

/// kernel: [out, 9 * in], taps by line and column, whatever the resampling; x: as the convolution reads it.
Matrix convolution(const Matrix& kernel, const std::vector<double>& bias, const Matrix& x, const Grid& grid,
                   Resampling resampling);

/// [samples, 2 * channels]: scales, then shifts.
Matrix group_statistics(const Matrix& x, const Grid& grid, int groups, const NormValues& norm);

Matrix rescale(const Matrix& x, const Matrix& scale_shift, const Grid& grid, bool silu);

Matrix mean_pool(const Matrix& x, const Grid& grid);

/// table[ids[r]] + positions[r % positions.rows]
Matrix lookup(const Matrix& table, const std::vector<int32_t>& ids, const Matrix& positions);

/// norm(table[id] + positions[s]) for the rows that `rows` lists as branch * positions.rows + s, with the sum over the
/// ids of a position's sub-tokens. ids: [samples, (S - 1) * sub_tokens]; first_ids: [branches]; norm: null for none.
Matrix embed(const Matrix& table, const Matrix& positions, const std::vector<int32_t>& ids,
             const std::vector<int32_t>& first_ids, const std::vector<int32_t>& rows, const NormValues* norm,
             int sub_tokens = 1);

/// The first of the largest of the first `columns` numbers of each row.
std::vector<int32_t> argmax(const Matrix& x, int columns);

/// Of the first `columns` numbers of each row.
Matrix softmax(const Matrix& x, int columns);

/// What SelectRows lists, and where each branch's part of the lists begins.
struct SelectedRows {
  std::vector<int32_t> rows, logits_rows;
  std::vector<int32_t> row_offsets, logits_offsets;  // [branches + 1]
};
/// state and turns: [samples, tokens * sub_tokens]; masked_after: [samples].
SelectedRows select_rows(const std::vector<uint8_t>& state, const std::vector<int32_t>& turns,
                         const std::vector<int32_t>& masked_after, int branches, int tokens, bool refresh,
                         bool all_logits, int sub_tokens = 1);

/// One sub-token: the scores that sampling takes the largest of (-infinity outside the top k), and the confidence that
/// each token would have, unless that is the turn.
struct Scores {
  std::vector<double> choice;
  std::vector<double> confidence;
};
/// unconditional: empty without guidance.
Scores sample(const std::vector<double>& conditional, const std::vector<double>& unconditional,
              const SampleSettings& settings, uint32_t sub_token, uint32_t sample, uint64_t seed);

/// Reveal on the ids and states of all samples, [samples, tokens]; masked_after: [samples].
void reveal(const std::vector<int32_t>& tokens, const std::vector<float>& confidence,
            const std::vector<int32_t>& masked_after, std::vector<int32_t>& ids, std::vector<uint8_t>& state);

void reveal_given(const std::vector<int32_t>& tokens, std::vector<int32_t>& ids, std::vector<uint8_t>& state);

}  // namespace magnets::reference
