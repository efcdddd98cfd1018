// The mathematics of a transformer, one plain struct an operation: its arguments, and what they mean. Stream::run
// (stream.h) runs them. The engine checks arguments once; a device may assume them.
#pragma once

#include <optional>

#include "types.h"

namespace magnets {

/// The rows of one pass, branch by branch, positions ascending. A branch is one sequence of a batch: the samples first,
/// then, with guidance, the same samples without their class.
struct Rows {
  const Buffer& index;    // i32 [1, count]: branch * positions + position
  const Buffer& offsets;  // i32 [1, branches + 1]: branch b owns the rows offsets[b] .. offsets[b + 1]
  int branches;
  int positions;  // S, of a sequence
  int count;      // rows of all branches
  int most;       // rows of the branch that has most
};

/// A vector for each branch: columns first .. first + d of row b are branch b's.
struct BranchVectors {
  const Buffer& values;  // f32 [branches, >= first + d]
  int first;
};

/// The rows of a product, each scaled by the vector of its branch.
struct BranchScale {
  BranchVectors scale;
  Rows rows;
};

/// x Φ(x), exact or by the tanh approximation; x / (1 + e^-x); tanh x.
enum class Activation { none, gelu, gelu_tanh, silu, tanh };

/// y[:rows, :out] = activation(x[:rows, :in] · W[:out, :in]ᵀ + b[:out]). With a residual y is residual + that, or
/// residual + scale * that; where the product multiplies, y is y * that. Where the layer reads heads, x is what
/// Attention wrote.
struct Matmul {
  const Linear& layer;
  int out, in;
  Input x;
  int rows;
  Activation activation = Activation::none;     // none with a residual, and where it multiplies
  const Input* residual = nullptr;              // its rows are y's own
  const BranchScale* residual_scale = nullptr;  // of activations, with a residual that carries no norm
  bool multiplies = false;                      // of activations, without a residual
  Buffer& y;                                    // activations, or f32
};

/// Queries to q [rows, heads * head_dim]; keys and values straight into the cache of `layer`, at the rows' positions.
/// The three make heads of head_dim, and q is a buffer of allocate_heads.
/// With QK norm a row's query, and its key, are divided by sqrt(mean of squares over all heads here + epsilon).
struct ProjectQkv {
  const Linear &query, &key, &value;
  int heads, head_dim, in;
  Input x;
  Rows rows;
  int layer;
  KvCache& cache;
  std::optional<float> qk_norm_epsilon = std::nullopt;
  Buffer& q;
};

/// out[r] = softmax(q[r] · Kᵀ / sqrt(head_dim)) · V, head by head, over all S positions of the row's branch. q is what
/// ProjectQkv wrote, and out a buffer of allocate_heads.
struct Attention {
  const Buffer& q;
  Rows rows;
  int layer;
  const KvCache& cache;
  int heads, head_dim;
  Buffer& out;
};

/// The rows x[:rows, :columns] under a norm, for the operations that read them next. A device either writes them to y,
/// which may be x, and answers {y}, or leaves the norm to those operations and answers {x, norm}.
struct Normalize {
  const Buffer& x;
  const Norm& norm;
  int rows, columns;
  Buffer& y;
};

/// y[r] = x[r, :columns] under a norm of `kind` * weight[branch of r] + shift[branch of r].
struct ModulatedNorm {
  const Buffer& x;
  NormKind kind;
  float epsilon;
  BranchVectors weight, shift;
  Rows rows;
  int columns;
  Buffer& y;  // may be x
};

/// y[i] = x[index[i]] for i < count.
struct Gather {
  Input x;
  const Buffer& index;  // i32 [1, count]
  int count, columns;
  Buffer& y;
};

/// y[r] = table[ids[r]] for r < rows; with positions + positions[r % sequence].
struct Lookup {
  const Table& table;
  const Buffer& ids;                  // i32 [1, rows]
  const Buffer* positions = nullptr;  // f32 [sequence, columns]
  int rows, sequence = 1, columns;
  Buffer& y;
};

/// index[0, r] = the column of the largest of x[r, :columns] for r < rows; of equals the first.
struct ArgMax {
  const Buffer& x;  // f32
  int rows, columns;
  Buffer& index;  // i32 [1, rows]
};

/// y[r] = e^x[r] / (the sum of e^x[r] over :columns) for r < rows.
struct Softmax {
  const Buffer& x;  // f32
  int rows, columns;
  Buffer& y;  // activations
};

// FLOPs of an operation: two for each multiply-add. Nothing else counts.

inline uint64_t flops_of(const Matmul& op) { return uint64_t{2} * op.rows * op.out * op.in; }
inline uint64_t flops_of(const ProjectQkv& op) {
  return uint64_t{3} * 2 * op.rows.count * op.heads * op.head_dim * op.in;
}
inline uint64_t flops_of(const Attention& op) {
  return uint64_t{2} * 2 * op.rows.count * op.rows.positions * op.heads * op.head_dim;
}

}  // namespace magnets
