// A masked generative transformer: embeddings, nested layers and the MLM head (MaskGIT, maskgit_transformer.py).
#pragma once

#include <memory>

#include "../backend.h"
#include "config.h"
#include "transformer.h"
#include "weights.h"

namespace magnets {

class Generator {
 public:
  Generator(std::shared_ptr<Backend> backend, const GeneratorConfig& config, WeightSource& source, DType dtype);

  const GeneratorConfig& config() const { return config_; }
  Backend& backend() const { return *backend_; }
  const Transformer& transformer() const { return *transformer_; }

  /// x[r] = LN(word[id] + position[s])
  void embed(const Buffer& ids, const Buffer& class_ids, int samples, const Rows& rows, Buffer& x,
             Stream& stream) const;

  /// logits[i] = LN(gelu(dense(x[index[i]]))) · wordᵀ + bias, over the whole vocabulary.
  /// scratch_a, scratch_b: [count, d]; logits: [count, V].
  void head(const Buffer& x, const Buffer& index, int count, Buffer& scratch_a, Buffer& scratch_b, Buffer& logits,
            Stream& stream) const;

 private:
  std::shared_ptr<Backend> backend_;
  GeneratorConfig config_;
  std::unique_ptr<Linear> words_;      // [V, d] with head.bias: embedding table and output matrix, kept once
  std::unique_ptr<Buffer> positions_;  // [S, d]
  Norm embedding_norm_;
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<Linear> dense_;
  Norm head_norm_;
};

}  // namespace magnets
