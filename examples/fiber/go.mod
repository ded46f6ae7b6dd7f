module github.com/codegrant/codegrant/examples/fiber

go 1.26.0

replace github.com/codegrant/codegrant => ../..

require (
	github.com/codegrant/codegrant v0.0.0
	github.com/gofiber/fiber/v3 v3.1.0
	github.com/stretchr/testify v1.12.1
)
