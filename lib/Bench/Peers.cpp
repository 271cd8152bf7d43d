//===- Peers.cpp - Which other libraries are here ---------------------------------------------===//
//
// Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===------------------------------------------------------------------------------------------===//
#include "Peers.h"

#include "llvm/ADT/STLExtras.h"

namespace quern::bench {

llvm::Expected<std::vector<std::unique_ptr<Peer>>> findPeers(const Settings &settings,
                                                             llvm::ArrayRef<std::string> works,
                                                             int threads, const std::string &tool) {
  std::vector<std::unique_ptr<Peer>> peers;
  // Libraries that multiply matrices are of no use to other works, and take time to open.
  bool multiplies = llvm::is_contained(works, "gemm") || llvm::is_contained(works, "machine");
  auto wants = [&](llvm::StringRef name) {
    return settings.peers.empty() ? multiplies : llvm::is_contained(settings.peers, name);
  };
  auto add = [&](llvm::StringRef name, std::unique_ptr<Peer> peer,
                 llvm::StringRef way) -> llvm::Error {
    if (peer)
      peers.push_back(std::move(peer));
    else if (llvm::is_contained(settings.peers, name))
      return llvm::createStringError("no " + name + " here; " + way +
                                     ", or leave it out of --peers");
    return llvm::Error::success();
  };
  if (wants("openblas"))
    if (llvm::Error error = add("openblas", findOpenBLAS(tool, threads),
                                "install it (apt-get install libopenblas0-openmp)"))
      return error;
  if (wants("onednn"))
    if (llvm::Error error = add("onednn", findOneDNN(), "install it (apt-get install libdnnl2)"))
      return error;
  if (!settings.python.empty()) {
    llvm::Expected<std::vector<std::unique_ptr<Peer>>> torch =
        findTorch(settings, /*compiles=*/llvm::is_contained(works, "train"));
    if (!torch)
      return torch.takeError();
    llvm::move(*torch, std::back_inserter(peers));
  } else if (llvm::is_contained(settings.peers, "torch")) {
    return llvm::createStringError("torch needs a Python that has PyTorch; give --python PATH");
  }
  if (!settings.llmc.empty()) {
    llvm::Expected<std::unique_ptr<Peer>> llmc = findLlmc(settings.llmc);
    if (!llmc)
      return llmc.takeError();
    peers.push_back(std::move(*llmc));
  } else if (llvm::is_contained(settings.peers, "llmc")) {
    return llvm::createStringError("llmc needs a checkout of https://github.com/karpathy/llm.c; "
                                   "give --llmc FOLDER");
  }
  return peers;
}

} // namespace quern::bench
