module example/transcribe

go 1.19
