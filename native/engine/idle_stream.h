// A stream whose operations do nothing: what looks at operations instead of running them overrides those it looks at.
#pragma once

#include "../ops/stream.h"

namespace magnets {

class IdleStream : public Stream {
 public:
  void synchronize() override {}
  void upload(const void*, int, int, Buffer&) override {}
  void download(const Buffer&, int, int, void*) override {}
  void put(std::initializer_list<Put>) override {}

 protected:
  void do_run(const Matmul&) override {}
  void do_run(const ProjectQkv&) override {}
  void do_run(const Attention&) override {}
  Input do_run(const Normalize& op) override { return {op.y}; }
  void do_run(const ModulatedNorm&) override {}
  void do_run(const Gather&) override {}
  void do_run(const Lookup&) override {}
  void do_run(const ArgMax&) override {}
  void do_run(const Softmax&) override {}
  void do_run(const GroupStatistics&) override {}
  void do_run(const Rescale&) override {}
  void do_run(const Convolution&) override {}
  void do_run(const MeanPool&) override {}
  void do_run(const SelectRows&) override {}
  void do_run(const Embed&) override {}
  void do_run(const Sample&) override {}
  void do_run(const Reveal&) override {}
  void do_run(const RevealGiven&) override {}
};

}  // namespace magnets
