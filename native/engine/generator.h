// A masked generative transformer: embeddings, nested blocks and the LM head (MaskGIT, maskgit_transformer.py).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "config.h"
#include "transformer.h"
#include "weights/loader.h"

namespace magnets {

/// Buffers of the LM head, for as many rows as it computes.
struct LmHeadWorkspace {
  std::unique_ptr<Buffer> gathered;  // [rows, d]
  std::unique_ptr<Buffer> dense;     // [rows, d]
  std::unique_ptr<Buffer> logits;    // f32 [rows, V], or of the codes alone
};

class Generator {
 public:
  /// Without weights where the loader only lists: its memory can be measured, but nothing computed.
  Generator(std::shared_ptr<Backend> backend, const GeneratorConfig& config, Loader& loader);

  const GeneratorConfig& config() const { return config_; }
  Backend& backend() const { return *backend_; }
  /// Device memory of the weights.
  size_t bytes() const { return bytes_; }
  const Transformer& transformer() const { return *transformer_; }

  /// With modulation: what the blocks read of the classes in all passes. class_rows: i32 [1, branches], of their table.
  void modulate(const Buffer& class_rows, int branches, Workspace& workspace, Stream& stream) const;

  /// What writes norm(word[id] + position[s]) to x; it must not outlive the rows.
  Embed embedding(const Buffer& ids, const Buffer& first_ids, int samples, const Rows& rows, Buffer& x) const;

  /// logits[i] = LN(act(dense(x[index[i]]))) · Wᵀ + bias for i < count, or of a plain head x[index[i]] · Wᵀ + bias. W
  /// are the words, and the columns the whole vocabulary, or a matrix of its own for the codes alone.
  void lm_head(Input x, const Buffer& index, int count, LmHeadWorkspace& workspace, Stream& stream) const;

 private:
  std::shared_ptr<Backend> backend_;
  size_t bytes_ = 0;
  GeneratorConfig config_;
  std::unique_ptr<Table> words_;       // [V, d]
  std::unique_ptr<Buffer> positions_;  // [S, d]
  std::optional<Norm> embedding_norm_;
  std::unique_ptr<Buffer> classes_;  // [rows, d], SiLU of the classes' vectors; with modulation alone
  std::unique_ptr<Transformer> transformer_;
  std::unique_ptr<Linear> dense_;  // and its norm: of a dense head alone
  Norm lm_head_norm_;
  /// A tensor of its own, or the words' weights again: a table and a product may want them in other formats.
  std::unique_ptr<Linear> lm_head_;
};

}  // namespace magnets
