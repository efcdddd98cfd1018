// Which attention kernel runs, and what a block of it does: a function of shape and device alone.
#pragma once

namespace magnets::cuda {

struct AttentionProblem {
  int head_dim;
  int most_rows;  // active rows of the branch that has most
  int heads;      // of all branches together
  int capability, multiprocessors;
  int block_shared;  // bytes of shared memory that a block may have
};

enum class AttentionPath { mma, wgmma, wide };

struct AttentionShape {
  AttentionPath path;
  int rows;    // of a block
  int groups;  // of mma: that share the keys of the same rows, rows / 16 warps each
};

AttentionShape attention_shape(const AttentionProblem& problem);

/// head_dim, at most kMostHeadDim, rounded up to what there are kernels of mma for.
int kernel_dim(int head_dim);

}  // namespace magnets::cuda
