// One kernel as a program: the smallest thing that compiles to an executable.
module attributes {quern.model = "{\"model\": \"smooth\", \"kind\": \"kernels\", \"context\": 0, \"vocabulary\": 0, \"parameters\": [], \"programs\": [{\"name\": \"softmax\", \"arguments\": [{\"name\": \"x\", \"role\": \"input\", \"type\": \"f32\", \"shape\": [-1, 32], \"dimensions\": [\"rows\", \"\"]}, {\"name\": \"y\", \"role\": \"output\", \"type\": \"f32\", \"shape\": [-1, 32], \"dimensions\": [\"rows\", \"\"]}]}]}"} {
  func.func @softmax(%x: memref<?x32xf32>, %y: memref<?x32xf32>) attributes {quern.program} {
    kernel.softmax %x into %y : (memref<?x32xf32>, memref<?x32xf32>) -> ()
    return
  }
}
